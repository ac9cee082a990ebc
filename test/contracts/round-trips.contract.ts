import { setTimeout as sleep } from 'node:timers/promises'
import { type LockHandle, MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import type { Pool } from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { taken } from '../support/locks.js'
import { countStatements } from '../support/statements.js'

onEveryServer('one round trip', (context) => {
  let pool: Pool
  let state: MySQLAdapter
  let idempotency: MySQLIdempotencyAdapter
  let other: MySQLAdapter

  beforeAll(async () => {
    other = await context.adapter()
    pool = context.pool({ connectionLimit: 1 })
    state = new MySQLAdapter(pool)
    idempotency = new MySQLIdempotencyAdapter(pool)
  })

  /** How many statements a call costs once the connection knows them. */
  const cost = async (call: (round: number) => Promise<unknown>) => {
    await call(1)
    return countStatements(pool, () => call(2))
  }

  describe('of a lock', () => {
    const acquire = async (key: string, expected: 'granted' | 'refused', owner?: string) => {
      let lock: LockHandle | null = null
      const count = await countStatements(pool, async () => {
        lock = await state.acquire(key, 60_000, owner)
      })
      expect(lock === null ? 'refused' : 'granted').toBe(expected)
      return count
    }

    beforeAll(async () => {
      await taken(state.acquire('warm', 60_000))
    })

    it('acquires a key nobody ever took', async () => {
      expect(await acquire('fresh', 'granted')).toBe(1)
    })

    it('acquires a released key', async () => {
      const lock = await taken(other.acquire('released', 60_000))
      await lock.release()
      expect(await acquire('released', 'granted')).toBe(1)
    })

    it('is refused a held key', async () => {
      await taken(other.acquire('held', 60_000))
      expect(await acquire('held', 'refused')).toBe(1)
    })

    it('acquires an expired key', async () => {
      await taken(other.acquire('expired', 10))
      await sleep(50)
      expect(await acquire('expired', 'granted')).toBe(1)
    })

    it('acquires a key of its own', async () => {
      await taken(other.acquire('own', 60_000, 'worker'))
      expect(await acquire('own', 'granted', 'worker')).toBe(1)
    })

    it('extends, checks and releases through its handle', async () => {
      const lock = await taken(state.acquire('handle', 60_000))
      expect(await cost(() => lock.extend(60_000))).toBe(1)
      expect(await cost(() => lock.isValid())).toBe(1)
      expect(await cost(() => lock.release())).toBe(1)
      expect(await cost(() => lock.extend(60_000))).toBe(1)
    })

    it('extends by owner and releases by force', async () => {
      await taken(state.acquire('by name', 60_000, 'worker'))
      expect(await cost(() => state.extend('by name', 60_000, 'worker'))).toBe(1)
      expect(await cost(() => state.extend('by name', 60_000, 'somebody'))).toBe(1)
      expect(await cost(() => state.forceRelease('by name'))).toBe(1)
    })
  })

  it('reads and writes circuit-breaker state', async () => {
    expect(await cost(() => state.recordFailure('circuit', 2, 'timeout'))).toBe(1)
    expect(await cost(() => state.getState('circuit'))).toBe(1)
    expect(await cost(() => state.recordSuccess('circuit'))).toBe(1)
    expect(await cost((round) => state.setState('circuit', { state: 'half-open', failureCount: round }))).toBe(1)
    expect(await cost(() => state.recordSuccess('circuit'))).toBe(1)
    expect(await cost(() => state.getState('absent'))).toBe(1)
  })

  it('reads and writes the cache', async () => {
    expect(await cost((round) => state.set('cached', { round }, 60_000))).toBe(1)
    expect(await cost((round) => state.set('cached for good', { round }))).toBe(1)
    expect(await cost(() => state.get('cached'))).toBe(1)
    expect(await cost(() => state.get('absent'))).toBe(1)
    expect(await cost(() => state.has('cached'))).toBe(1)
    expect(await cost(() => state.delete('cached'))).toBe(1)
  })

  it('saves and loads checkpoints', async () => {
    const checkpoint = { taskId: 'task', timestamp: 1, progress: 1, data: { rows: [1, 2] } }
    expect(await cost((round) => state.checkpoints.save({ ...checkpoint, id: `c${round}`, sequence: round }))).toBe(1)
    expect(await cost((round) => state.checkpoints.save({ ...checkpoint, id: 'c1', sequence: round + 2 }))).toBe(1)
    expect(await cost(() => state.checkpoints.load('c1'))).toBe(1)
    expect(await cost(() => state.checkpoints.load('absent'))).toBe(1)
    expect(await cost(() => state.checkpoints.loadLatest('task'))).toBe(1)
  })

  it('reads and writes idempotency records', async () => {
    expect(await cost((round) => idempotency.set('charge', { round }, 60_000))).toBe(1)
    expect(await cost(() => idempotency.get('charge'))).toBe(1)
    expect(await cost(() => idempotency.get('absent'))).toBe(1)
    expect(await cost(() => idempotency.delete('charge'))).toBe(1)
  })

  it('suffices for any number of calls and keys', async () => {
    await state.set('many', 0)
    const calls = Array.from({ length: 20 }, (_, index) => state.set(`many ${index}`, index))
    await Promise.all(calls)
    expect(
      await countStatements(pool, () =>
        Promise.all(Array.from({ length: 20 }, (_, index) => state.set(`many ${index}`, -index))),
      ),
    ).toBe(20)
  })
})
