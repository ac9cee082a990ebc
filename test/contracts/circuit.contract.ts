import { setTimeout as sleep } from 'node:timers/promises'
import { type CircuitBreakerPersistedState, InvalidArgumentError, MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { countStatements } from '../support/statements.js'

onEveryServer('circuit-breaker state', (context) => {
  let state: MySQLAdapter
  let other: MySQLAdapter

  beforeAll(async () => {
    state = await context.adapter()
    other = await context.adapter()
  })

  const row = async (key: string): Promise<RowDataPacket> => {
    const [rows] = await context.admin.query<RowDataPacket[]>({
      sql: 'select * from go_goscope_circuit where `key` = ?',
      values: [`circuit:${key}`],
      dateStrings: true,
    })
    if (rows[0] === undefined) throw new Error(`expected a row of ${key}`)
    return rows[0]
  }

  /** Long enough that a moved time would show. */
  const aMoment = () => sleep(15)

  describe('getState', () => {
    it('is null when nothing was recorded', async () => {
      expect(await state.getState('absent')).toBeNull()
      await state.recordSuccess('absent')
      expect(await state.getState('absent')).toBeNull()
    })

    it('tells what another process recorded', async () => {
      await state.recordFailure('shared', 5)
      expect(await other.getState('shared')).toMatchObject({ state: 'closed', failureCount: 1 })
    })

    it('keeps keys and prefixes apart', async () => {
      const billing = await context.adapter({ keyPrefix: 'billing:' })
      const keys = ['apart', 'Apart', 'apart ', 'apart␠', 'ápart', 'apart%', 'a_art']
      for (const [index, key] of keys.entries()) {
        for (let failure = 0; failure <= index; failure++) await state.recordFailure(key, 100)
      }
      await billing.recordFailure('apart', 1)
      for (const [index, key] of keys.entries()) {
        expect(await state.getState(key), key).toMatchObject({ state: 'closed', failureCount: index + 1 })
      }
      expect(await billing.getState('apart')).toMatchObject({ state: 'open', failureCount: 1 })
    })
  })

  describe('setState', () => {
    it.each<CircuitBreakerPersistedState>([
      { state: 'closed', failureCount: 0 },
      { state: 'closed', failureCount: 3, lastFailureTime: 1_700_000_000_123 },
      { state: 'open', failureCount: 7, lastFailureTime: 1_700_000_000_001, lastSuccessTime: 1_699_999_999_999 },
      { state: 'half-open', failureCount: 2 ** 40, lastSuccessTime: 1 },
      {
        state: 'open',
        failureCount: Number.MAX_SAFE_INTEGER,
        lastFailureTime: 0,
        lastSuccessTime: 253_402_300_799_999,
      },
      // In the hours that daylight saving drops and repeats in many zones.
      { state: 'open', failureCount: 1, lastFailureTime: 1_711_848_600_500, lastSuccessTime: 1_729_992_600_007 },
    ])('stores all of $state with $failureCount failures, and times to the millisecond', async (stored) => {
      await state.setState('all', stored)
      expect(await other.getState('all')).toStrictEqual(stored)
    })

    it('leaves absent times absent', async () => {
      await state.setState('absent times', { state: 'closed', failureCount: 1, lastFailureTime: 5, lastSuccessTime: 6 })
      await state.setState('absent times', { state: 'closed', failureCount: 2 })
      const found = await state.getState('absent times')
      expect(found).toStrictEqual({ state: 'closed', failureCount: 2 })
      expect(found && 'lastFailureTime' in found).toBe(false)
      expect(found && 'lastSuccessTime' in found).toBe(false)
    })

    it('notes when an outage begins, and forgets it when it ends', async () => {
      await state.setState('outage', { state: 'closed', failureCount: 0 })
      expect((await row('outage')).opened_at).toBeNull()
      await state.setState('outage', { state: 'open', failureCount: 5 })
      const { opened_at: openedAt } = await row('outage')
      expect(openedAt).not.toBeNull()
      await aMoment()
      await state.setState('outage', { state: 'open', failureCount: 6 })
      expect((await row('outage')).opened_at).toBe(openedAt)
      await state.setState('outage', { state: 'closed', failureCount: 0 })
      expect((await row('outage')).opened_at).toBeNull()
    })
  })

  describe('recordFailure', () => {
    it('counts, and notes the time of the last failure', async () => {
      const before = await databaseTime()
      expect(await state.recordFailure('counted', 5)).toBe(1)
      expect(await other.recordFailure('counted', 5)).toBe(2)
      const found = await state.getState('counted')
      expect(found).toMatchObject({ state: 'closed', failureCount: 2 })
      expect(found?.lastFailureTime).toBeGreaterThanOrEqual(before - 1)
      expect(found?.lastFailureTime).toBeLessThanOrEqual((await databaseTime()) + 1)
      expect(found && 'lastSuccessTime' in found).toBe(false)
      expect((await row('counted')).opened_at).toBeNull()
    })

    it('opens at the threshold, once, and counts on without prolonging the outage', async () => {
      const states: unknown[] = []
      const openings: unknown[] = []
      for (let failure = 1; failure <= 5; failure++) {
        expect(await state.recordFailure('threshold', 3)).toBe(failure)
        states.push((await state.getState('threshold'))?.state)
        openings.push((await row('threshold')).opened_at)
        await aMoment()
      }
      expect(states).toEqual(['closed', 'closed', 'open', 'open', 'open'])
      expect(openings.slice(0, 2)).toEqual([null, null])
      expect(openings[2]).not.toBeNull()
      expect(openings.slice(3)).toEqual([openings[2], openings[2]])
      expect((await state.getState('threshold'))?.failureCount).toBe(5)
    })

    it('moves the time of the last failure while open', async () => {
      await state.recordFailure('moving', 1)
      const first = (await state.getState('moving'))?.lastFailureTime ?? Number.NaN
      await aMoment()
      await state.recordFailure('moving', 1)
      expect((await state.getState('moving'))?.lastFailureTime).toBeGreaterThan(first)
    })

    it('opens at the first failure when one is enough', async () => {
      expect(await state.recordFailure('one', 1)).toBe(1)
      expect(await state.getState('one')).toMatchObject({ state: 'open', failureCount: 1 })
      expect((await row('one')).opened_at).not.toBeNull()
    })

    it('opens when a lower threshold has been passed already', async () => {
      for (let failure = 0; failure < 4; failure++) await state.recordFailure('lowered', 100)
      expect(await state.recordFailure('lowered', 3)).toBe(5)
      expect((await state.getState('lowered'))?.state).toBe('open')
    })

    it('opens a half-open circuit at once, whatever the threshold', async () => {
      await state.setState('half-open', { state: 'open', failureCount: 5 })
      const { opened_at: openedAt } = await row('half-open')
      await aMoment()
      await state.setState('half-open', { state: 'half-open', failureCount: 0 })
      expect(await state.recordFailure('half-open', 1000)).toBe(1)
      expect(await state.getState('half-open')).toMatchObject({ state: 'open', failureCount: 1 })
      expect((await row('half-open')).opened_at > openedAt).toBe(true)
    })

    it('keeps the time of the last success', async () => {
      await state.setState('kept', { state: 'closed', failureCount: 0, lastSuccessTime: 1_700_000_000_123 })
      await state.recordFailure('kept', 1)
      expect((await state.getState('kept'))?.lastSuccessTime).toBe(1_700_000_000_123)
    })
  })

  describe('recordSuccess', () => {
    it('resets the count of a closed circuit and notes the time', async () => {
      await state.recordFailure('reset', 3)
      await state.recordFailure('reset', 3)
      const before = await databaseTime()
      await other.recordSuccess('reset')
      const found = await state.getState('reset')
      expect(found).toMatchObject({ state: 'closed', failureCount: 0 })
      expect(found?.lastSuccessTime).toBeGreaterThanOrEqual(before - 1)
      expect(await state.recordFailure('reset', 3)).toBe(1)
      expect((await state.getState('reset'))?.state).toBe('closed')
    })

    it('writes nothing while the circuit is closed and clean', async () => {
      await state.recordFailure('clean', 3)
      await state.recordSuccess('clean')
      const clean = await row('clean')
      await aMoment()
      await state.recordSuccess('clean')
      await state.recordSuccess('clean')
      expect(await row('clean')).toEqual(clean)
    })

    it('closes a half-open circuit', async () => {
      await state.setState('healed', { state: 'half-open', failureCount: 5 })
      await state.recordSuccess('healed')
      const found = await state.getState('healed')
      expect(found).toMatchObject({ state: 'closed', failureCount: 0 })
      expect(found?.lastSuccessTime).toBeTypeOf('number')
      expect((await row('healed')).opened_at).toBeNull()
    })

    it('leaves an open circuit alone', async () => {
      await state.recordFailure('still open', 1)
      const open = await row('still open')
      await aMoment()
      await state.recordSuccess('still open')
      expect(await row('still open')).toEqual(open)
    })
  })

  describe('details', () => {
    it('show the latest failures: when, where and why, newest first, ten at most', async () => {
      for (let failure = 1; failure <= 12; failure++) await state.recordFailure('shown', 5, `reason ${failure}`)
      const details = JSON.parse((await row('shown')).details) as { time: string; instance: string; reason: string }[]
      expect(details.map((detail) => detail.reason)).toEqual(
        Array.from({ length: 10 }, (_, index) => `reason ${12 - index}`),
      )
      const times = details.map((detail) => Date.parse(detail.time))
      expect(times).toEqual([...times].sort((a, b) => b - a))
      expect(Math.abs((times[0] ?? 0) - (await databaseTime()))).toBeLessThan(10_000)
      expect(new Set(details.map((detail) => detail.instance)).size).toBe(1)
      expect(details[0]?.instance).toContain(String(process.pid))
    })

    it('hold any reason, long ones cut, and none at all', async () => {
      const reasons = ['quote " \' `', 'back \\ slash', 'line\nbreak\u0000', '🔥', '', '{"a":1}']
      for (const reason of reasons) await state.recordFailure('reasons', 100, reason)
      await state.recordFailure('reasons', 100, 'x'.repeat(100_000))
      await state.recordFailure('reasons', 100, `${'y'.repeat(199)}🔥`)
      await state.recordFailure('reasons', 100)
      const shown = (JSON.parse((await row('reasons')).details) as { reason: string | null }[]).map(
        ({ reason }) => reason,
      )
      expect(shown.slice(3)).toEqual(reasons.toReversed())
      expect(shown[0]).toBeNull()
      expect(shown[1]?.length).toBe(200)
      expect(shown[1]?.slice(0, 199)).toBe('y'.repeat(199))
      expect(shown[2]).toBe('x'.repeat(200))
    })

    it('that are spoiled do not stop the counting', async () => {
      await state.recordFailure('spoiled', 2, 'first')
      for (const spoiled of ['not json', '', null]) {
        await context.admin.query('update go_goscope_circuit set details = ? where `key` = ?', [
          spoiled,
          'circuit:spoiled',
        ])
        await state.recordFailure('spoiled', 2, 'next')
        expect(JSON.parse((await row('spoiled')).details)).toMatchObject([{ reason: 'next' }])
      }
      expect(await state.getState('spoiled')).toMatchObject({ state: 'open', failureCount: 4 })
    })
  })

  describe('under concurrency', () => {
    it('gives 100 callers on an absent key the counts 1 to 100, and the threshold to one', async () => {
      const clients = [state, other, new MySQLAdapter(context.pool()), new MySQLAdapter(context.pool())]
      const counts = await Promise.all(
        Array.from({ length: 100 }, (_, index) => clients[index % 4]?.recordFailure('hundred', 50)),
      )
      expect(counts.toSorted((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: 100 }, (_, index) => index + 1),
      )
      expect(counts.filter((count) => count === 50)).toHaveLength(1)
      expect(await state.getState('hundred')).toMatchObject({ state: 'open', failureCount: 100 })
      expect(JSON.parse((await row('hundred')).details)).toHaveLength(10)
    })

    it('gives four processes the counts 1 to 100, and the threshold to one', async () => {
      const argument = { url: context.url, failures: 25, threshold: 60 }
      const children = Array.from({ length: 4 }, () => new Child<unknown>('contracts/circuit-failures.ts', argument))
      await Promise.all(children.map((child) => child.until((message) => message === 'ready')))
      for (const child of children) child.process.send('go')
      const messages = await Promise.all(children.map((child) => child.end()))
      const counts = messages.flatMap((said) => said.filter(Array.isArray).flat() as number[])
      expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
      expect(counts.filter((count) => count === 60)).toHaveLength(1)
      expect(await state.getState('processes')).toMatchObject({ state: 'open', failureCount: 100 })
      const instances = (JSON.parse((await row('processes')).details) as { instance: string }[]).map(
        ({ instance }) => instance,
      )
      const processes = children.map((child) => String(child.process.pid))
      expect(instances.every((instance) => processes.some((pid) => instance.endsWith(`:${pid}`)))).toBe(true)
    })

    it('lets whoever comes first decide over a half-open circuit', async () => {
      await state.setState('mixed', { state: 'half-open', failureCount: 9 })
      await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          index % 2 === 0 ? state.recordFailure('mixed', 1_000) : other.recordSuccess('mixed'),
        ),
      )
      const found = await state.getState('mixed')
      // A failure first: open, all failures counted, late successes ignored. A success first: closed and counting anew.
      if (found?.state === 'open') expect(found.failureCount).toBe(29)
      else {
        expect(found?.state).toBe('closed')
        expect(found?.failureCount).toBeLessThanOrEqual(20)
      }
    })
  })

  it('refuses bad input before anything is sent', async () => {
    const pool = context.pool({ connectionLimit: 1 })
    const watched = new MySQLAdapter(pool)
    await watched.getState('bad input')
    const good: CircuitBreakerPersistedState = { state: 'closed', failureCount: 0 }
    const keys = [42, null, undefined, 'k'.repeat(513), 'lone \ud83d surrogate'] as string[]
    const calls: [string, () => Promise<unknown>][] = [
      ...keys.flatMap((key): typeof calls => [
        [`getState ${key}`, () => watched.getState(key)],
        [`setState ${key}`, () => watched.setState(key, good)],
        [`recordFailure ${key}`, () => watched.recordFailure(key, 3)],
        [`recordSuccess ${key}`, () => watched.recordSuccess(key)],
      ]),
      ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3', null, undefined, 2 ** 53].map(
        (maximum): (typeof calls)[number] => [
          `maxFailures ${maximum}`,
          () => watched.recordFailure('bad input', maximum as number),
        ],
      ),
      ...[
        { ...good, state: 'ajar' },
        { ...good, state: undefined },
        { ...good, state: 'Open' },
        { ...good, failureCount: -1 },
        { ...good, failureCount: 0.5 },
        { ...good, failureCount: '1' },
        { ...good, failureCount: undefined },
        { ...good, lastFailureTime: Number.NaN },
        { ...good, lastFailureTime: -1 },
        { ...good, lastSuccessTime: 1.5 },
        { ...good, lastSuccessTime: new Date() },
        { ...good, lastSuccessTime: null },
        { ...good, lastSuccessTime: 253_402_300_800_000 },
        null,
        undefined,
        'closed',
      ].map((bad): (typeof calls)[number] => [
        `setState ${JSON.stringify(bad)}`,
        () => watched.setState('bad input', bad as CircuitBreakerPersistedState),
      ]),
    ]
    const sent = await countStatements(pool, async () => {
      for (const [name, call] of calls) {
        await expect(
          call().catch((error) => error),
          name,
        ).resolves.toBeInstanceOf(InvalidArgumentError)
      }
    })
    expect(sent).toBe(0)
    expect(await watched.getState('bad input')).toBeNull()
  })

  async function databaseTime(): Promise<number> {
    const [rows] = await context.admin.query<RowDataPacket[]>(
      "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000 as now",
    )
    return Number(rows[0]?.now)
  }
})
