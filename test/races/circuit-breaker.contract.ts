import { setTimeout as sleep } from 'node:timers/promises'
import type { MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { Fleet } from './circuit-fleet.js'

const PROCESSES = 4
const CALLERS = 64

onEveryServer('a breaker of four processes with 64 callers each', (context) => {
  let state: MySQLAdapter
  let fleet: Fleet

  beforeAll(async () => {
    state = await context.adapter()
    fleet = await Fleet.start(context.url, PROCESSES)
  })

  afterAll(() => fleet.end())

  const version = async (key: string): Promise<number> => {
    const [rows] = await context.admin.query<RowDataPacket[]>(
      'select version from go_goscope_circuit where `key` = ?',
      [`circuit:${key}`],
    )
    return Number(rows[0]?.version)
  }

  it('loses no failure, over several batches and after successes', async () => {
    await fleet.use('no failure lost', { failureThreshold: 1_000_000, refreshInterval: 100 })
    for (let streak = 0; streak < 2; streak++) {
      fleet.service.fails = () => sleep(Math.random() * 20, true)
      for (let batch = 1; batch <= 3; batch++) {
        const outcomes = await fleet.call(CALLERS)
        expect(outcomes).toEqual({ answered: 0, failed: PROCESSES * CALLERS, rejected: 0, unexpected: [] })
        await fleet.refresh()
        expect(await state.getState('no failure lost')).toMatchObject({
          state: 'closed',
          failureCount: batch * PROCESSES * CALLERS,
        })
      }
      fleet.service.fails = () => false
      await fleet.call(1)
      await fleet.refresh()
      expect(await state.getState('no failure lost')).toMatchObject({ state: 'closed', failureCount: 0 })
    }
  })

  it('counts every call of a window once', async () => {
    const calls = 2 * PROCESSES * CALLERS
    for (const [minimumNumberOfCalls, expected] of [
      [calls, 'open'],
      [calls + 1, 'closed'],
    ] as const) {
      const key = `window of ${minimumNumberOfCalls}`
      const options = { failureRateThreshold: 50, minimumNumberOfCalls, slidingWindow: 60_000, refreshInterval: 100 }
      await fleet.use(key, options)
      for (const fails of [true, false]) {
        fleet.service.fails = () => sleep(Math.random() * 20, fails)
        await fleet.call(CALLERS)
      }
      await fleet.refresh()
      await fleet.refresh()
      expect(new Set(await fleet.refresh())).toEqual(new Set([expected]))
    }
  })

  it('tells one process of each transition, and lets one call through in each half-open round', async () => {
    await fleet.use('rounds', { failureThreshold: 5, resetTimeout: 60, refreshInterval: 50 })
    const { service } = fleet
    let failedProbes = 0
    for (let round = 0; round < 6; round++) {
      service.fails = () => true
      await fleet.call(CALLERS)
      expect(new Set(await fleet.refresh())).toEqual(new Set(['open']))

      // Each half-open round ends with a failure.
      service.forget()
      service.fails = () => sleep(20, true)
      for (let burst = 0; burst < 1 + (round % 3); burst++) {
        await sleep(80)
        await fleet.call(CALLERS)
      }
      failedProbes += service.calls.length
      expect(service.calls.length).toBeGreaterThan(0)
      expect(service.most).toBe(1)

      // The last one ends with a success.
      service.forget()
      let mostBeforeAnswer = 0
      service.fails = async () => {
        await sleep(20)
        if (service.calls[0]?.ended === undefined) mostBeforeAnswer = Math.max(mostBeforeAnswer, service.most)
        return false
      }
      await expect
        .poll(
          async () => {
            await fleet.call(CALLERS)
            return new Set(await fleet.refresh())
          },
          { timeout: 10_000 },
        )
        .toEqual(new Set(['closed']))
      expect(mostBeforeAnswer).toBe(1)
    }
    expect(fleet.told).toEqual({
      'closed to open': 6,
      'open to half-open': 6 + failedProbes,
      'half-open to open': failedProbes,
      'half-open to closed': 6,
    })
    // Each change of the circuit made the next version.
    const transitions = Object.values(fleet.told).reduce((sum, times) => sum + times, 0)
    expect(await version('rounds')).toBe(transitions)
  })

  it('lets no more than the permitted probes through at once', async () => {
    const { service } = fleet
    await fleet.use('three probes', {
      failureThreshold: 1,
      resetTimeout: 50,
      refreshInterval: 50,
      permittedProbes: 3,
      successThreshold: 12,
    })
    service.fails = () => true
    await fleet.call(1)
    await fleet.refresh()
    service.forget()
    let mostBeforeClosing = 0
    service.fails = async () => {
      if (service.calls.filter(({ ended }) => ended !== undefined).length < 12) {
        mostBeforeClosing = Math.max(mostBeforeClosing, service.running.length)
      }
      return sleep(40, false)
    }
    await expect
      .poll(
        async () => {
          const { unexpected } = await fleet.call(CALLERS)
          expect(unexpected).toEqual([])
          return new Set(await fleet.refresh())
        },
        { timeout: 15_000 },
      )
      .toEqual(new Set(['closed']))
    expect(mostBeforeClosing).toBe(3)
    expect(fleet.told).toEqual({ 'closed to open': 1, 'open to half-open': 1, 'half-open to closed': 1 })
  })
})
