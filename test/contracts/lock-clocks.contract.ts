import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { lockTimes, taken } from '../support/locks.js'
import { addChangingZone, type ChangingZone, poolOfSessions } from '../support/time-zones.js'
import type { AcquireRequest, ClientMessage } from './lock-client.js'

// Milliseconds that a busy machine may take for what is due.
const PATIENCE = 5_000

onEveryServer('the clock of locks', (context) => {
  describe('with short times to live', () => {
    let state: MySQLAdapter
    let other: MySQLAdapter

    beforeAll(async () => {
      state = await context.adapter()
      other = await context.adapter()
    })

    it.each([1, 20, 150, 400])('frees a lock of %i ms no earlier and not much later', async (ttl) => {
      const key = `short ${ttl}`
      await taken(state.acquire(key, ttl))
      const first = await lockTimes(context, key)
      expect(first.expiresAt - first.acquiredAt).toBeGreaterThanOrEqual((ttl - 1) * 1000)
      expect(first.expiresAt - first.acquiredAt).toBeLessThanOrEqual((ttl + 10) * 1000)
      const second = await untilGranted(() => other.acquire(key, 60_000))
      expect((await lockTimes(context, key)).acquiredAt).toBeGreaterThanOrEqual(first.expiresAt)
      expect((await lockTimes(context, key)).acquiredAt - first.expiresAt).toBeLessThan(PATIENCE * 1000)
      expect(await second.isValid()).toBe(true)
    })

    it('expires locks in the order of their times to live', async () => {
      const order: number[] = []
      const ttls = [450, 150, 300]
      await Promise.all(ttls.map((ttl) => taken(state.acquire(`ordered ${ttl}`, ttl))))
      await Promise.all(
        ttls.map(async (ttl) => {
          await untilGranted(() => other.acquire(`ordered ${ttl}`, 60_000))
          order.push(ttl)
        }),
      )
      expect(order).toEqual([150, 300, 450])
    })

    it('never cuts a time to live short, not by a fraction of a millisecond', async () => {
      for (let round = 0; round < 30; round++) {
        const key = `fraction ${round}`
        const ttl = 1_000 + round * 0.37
        // A fresh key's token is the moment of the grant in microseconds.
        const lock = await taken(state.acquire(key, ttl))
        expect((await lockTimes(context, key)).expiresAt - lock.fence).toBeGreaterThanOrEqual(Math.floor(ttl * 1000))
        const before = (await lockTimes(context, key)).now
        await lock.extend(ttl)
        expect((await lockTimes(context, key)).expiresAt - before).toBeGreaterThanOrEqual(Math.floor(ttl * 1000))
      }
    })
  })

  describe('between machines whose clocks and zones differ', () => {
    const machines = [
      { TZ: 'Pacific/Kiritimati', CLOCK_SHIFT: '60000' },
      { TZ: 'America/New_York', CLOCK_SHIFT: '-60000' },
      { TZ: 'Asia/Kolkata', CLOCK_SHIFT: '0' },
    ]
    let clients: Client[]

    beforeAll(async () => {
      await context.adapter()
      clients = machines.map((environment) => new Client(context.url, environment))
      await Promise.all(clients.map((client) => client.ready()))
    })

    afterAll(async () => {
      await Promise.all(clients.map((client) => client.end()))
    })

    it('a lock of one is respected by the others for as long as it was taken for, and no longer', async () => {
      const readies = await Promise.all(clients.map((client) => client.ready()))
      expect(readies.map((ready) => Math.round((ready.time - (readies[2]?.time ?? 0)) / 30_000))).toEqual([2, -2, 0])
      expect(new Set(readies.map((ready) => ready.zoneOffset)).size).toBe(3)

      const pairs = clients.flatMap((holder) => clients.filter((c) => c !== holder).map((comer) => ({ holder, comer })))
      expect(pairs).toHaveLength(6)
      await Promise.all(
        pairs.map(async ({ holder, comer }, index) => {
          const key = `machines ${index}`
          const ttl = 700
          const { granted, remaining } = await holder.acquire(key, ttl)
          expect(granted).toBe(true)
          expect(remaining).toBeLessThanOrEqual(ttl)
          const held = await lockTimes(context, key)
          expect(held.expiresAt - held.acquiredAt).toBeGreaterThanOrEqual((ttl - 1) * 1000)
          expect(held.expiresAt - held.acquiredAt).toBeLessThanOrEqual((ttl + 10) * 1000)

          expect((await comer.acquire(key, 60_000)).granted).toBe(false)
          await untilTrue(async () => (await comer.acquire(key, 60_000)).granted)
          const taken = await lockTimes(context, key)
          expect(taken.acquiredAt).toBeGreaterThanOrEqual(held.expiresAt)
          expect(taken.acquiredAt - held.expiresAt).toBeLessThan(PATIENCE * 1000)
          expect((await holder.acquire(key, 60_000)).granted).toBe(false)
        }),
      )
    })
  })

  describe('between sessions that speak different zones', () => {
    const sessions = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', '+13:00', '-09:30'].map(
      (zone) => `set time_zone = '${zone}'`,
    )

    it('a lock of one is respected by the others for as long as it was taken for, and no longer', async () => {
      await context.adapter()
      const clients = await Promise.all(
        sessions.map(async (session) => new MySQLAdapter(await poolOfSessions(context, session))),
      )
      const pairs = clients.flatMap((holder) => clients.filter((c) => c !== holder).map((comer) => ({ holder, comer })))
      expect(pairs).toHaveLength(20)
      await Promise.all(
        pairs.map(async ({ holder, comer }, index) => {
          const key = `sessions ${index}`
          const ttl = 700
          const lock = await taken(holder.acquire(key, 60_000))
          expect(await lock.isValid()).toBe(true)
          expect(await lock.extend(ttl)).toBe(true)
          const held = await lockTimes(context, key)
          expect(held.expiresAt - held.now).toBeLessThanOrEqual((ttl + 10) * 1000)
          expect(await comer.acquire(key, 60_000)).toBeNull()
          await untilGranted(() => comer.acquire(key, 60_000))
          const { acquiredAt } = await lockTimes(context, key)
          expect(acquiredAt).toBeGreaterThanOrEqual(held.expiresAt)
          expect(acquiredAt - held.expiresAt).toBeLessThan(PATIENCE * 1000)
          expect(await lock.isValid()).toBe(false)
          expect(await lock.extend(60_000)).toBe(false)
        }),
      )
    })
  })

  describe.each([
    { change: 'begins', before: 3_600, after: 7_200 },
    { change: 'ends', before: 7_200, after: 3_600 },
  ])('when summer time $change in the session', ({ change, before, after }) => {
    let plain: MySQLAdapter
    let zone: ChangingZone

    beforeAll(async () => {
      plain = await context.adapter()
      zone = await addChangingZone(context, before, after)
    })

    afterAll(() => zone.drop())

    it('locks and values last as long as they would have, and a statement that waits through it decides right', async () => {
      const pool = await poolOfSessions(context, `set time_zone = '${zone.name}'`)
      const state = new MySQLAdapter(pool)
      const offset = async () => {
        const [rows] = await pool.query<RowDataPacket[]>(
          'select timestampdiff(second, utc_timestamp(), now()) as offset_',
        )
        return rows[0]?.offset_
      }

      const long = await taken(state.acquire(`long ${change}`, 60_000))
      const short = await taken(state.acquire(`short ${change}`, 3_000))
      const { expiresAt } = await lockTimes(context, `short ${change}`)
      const guarded = await state.acquire(`guarded ${change}`, 60_000)
      expect(guarded).not.toBeNull()
      await state.set(change, 'first', 60_000)
      expect(await offset()).toBe(before)

      // What others do with the rows makes both wait until the change is over.
      const busy = await context.pool().getConnection()
      await busy.beginTransaction()
      await busy.query('select * from go_goscope_locks where `key` = ? for update', [`lock:guarded ${change}`])
      await busy.query('select * from go_goscope_cache where `key` = ? for update', [`cache:${change}`])
      const connection = await pool.getConnection()
      await connection.beginTransaction()
      let waited = false
      const waiting = Promise.all([state.set(change, 'second', 60_000), guarded?.assertHeld(connection)]).then(() => {
        waited = true
      })
      await zone.changed()
      expect(waited).toBe(false)
      await busy.commit()
      busy.release()
      await waiting
      await connection.commit()
      connection.release()
      expect(await offset()).toBe(after)

      const [rows] = await context.admin.query<RowDataPacket[]>(
        'select value, timestampdiff(second, utc_timestamp(6), expires_at) as remaining from go_goscope_cache where `key` = ?',
        [`cache:${change}`],
      )
      expect(rows).toMatchObject([{ value: '"second"' }])
      expect(rows[0]?.remaining).toBeGreaterThan(30)
      expect(rows[0]?.remaining).toBeLessThanOrEqual(60)

      expect(await plain.acquire(`long ${change}`, 60_000)).toBeNull()
      expect(await long.isValid()).toBe(true)
      expect(await long.extend(60_000)).toBe(true)
      const held = await lockTimes(context, `long ${change}`)
      expect(held.expiresAt - held.now).toBeGreaterThan(30_000_000)
      expect(held.expiresAt - held.now).toBeLessThanOrEqual(60_010_000)

      await untilGranted(() => state.acquire(`short ${change}`, 60_000))
      const { acquiredAt } = await lockTimes(context, `short ${change}`)
      expect(acquiredAt).toBeGreaterThanOrEqual(expiresAt)
      expect(acquiredAt - expiresAt).toBeLessThan(PATIENCE * 1000)
      expect(await short.isValid()).toBe(false)
    })
  })
})

class Client {
  readonly #child: Child<ClientMessage>
  #requests = 0

  constructor(url: string, environment: NodeJS.ProcessEnv) {
    this.#child = new Child('contracts/lock-client.ts', url, environment)
    // Several callers wait for answers at the same time.
    this.#child.process.setMaxListeners(0)
  }

  async ready(): Promise<Extract<ClientMessage, { kind: 'ready' }>> {
    const message = await this.#child.until((message) => message.kind === 'ready')
    return message as Extract<ClientMessage, { kind: 'ready' }>
  }

  async acquire(key: string, ttl: number): Promise<Extract<ClientMessage, { kind: 'answer' }>> {
    const request: AcquireRequest = { id: ++this.#requests, key, ttl }
    this.#child.process.send(request)
    const message = await this.#child.until((message) => message.kind === 'answer' && message.id === request.id)
    return message as Extract<ClientMessage, { kind: 'answer' }>
  }

  async end(): Promise<void> {
    this.#child.process.send('end')
    await this.#child.end()
  }
}

async function untilGranted<T>(acquire: () => Promise<T | null>): Promise<T> {
  for (const deadline = performance.now() + PATIENCE * 2; performance.now() < deadline; await sleep(5)) {
    const lock = await acquire()
    if (lock !== null) return lock
  }
  throw new Error('the lock was not granted in time')
}

async function untilTrue(ask: () => Promise<boolean>): Promise<void> {
  await untilGranted(async () => ((await ask()) ? true : null))
}
