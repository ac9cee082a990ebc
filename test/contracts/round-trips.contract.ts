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

  /** As if somebody in another process was making this value, or running this operation. */
  const claim = (storedKey: string) =>
    context.admin.query(
      `insert into go_goscope_locks (fence, \`key\`, owner, expires_at)
        values (1, ?, 'somebody', utc_timestamp(3) + interval 1 minute)
        on duplicate key update owner = values(owner), expires_at = values(expires_at)`,
      [storedKey],
    )

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

    it('is refused a held key whose row another transaction holds, with one more', async () => {
      await taken(other.acquire('busy', 60_000))
      await state.locks.inspect('busy')
      const connection = await context.pool().getConnection()
      await connection.query('start transaction')
      await connection.query("select * from go_goscope_locks where `key` = 'lock:busy' for update")
      expect(await acquire('busy', 'refused')).toBe(2)
      await connection.query('rollback')
      connection.release()
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

  it('finds a value that was made, fresh or stale', async () => {
    const make = (key: string) => state.cache.getOrSet(key, () => 1, { ttl: 200, stale: 60_000 })
    await make('warm value')
    await make('made')
    expect(await countStatements(pool, () => make('made'))).toBe(1)
    await sleep(250)
    await claim('cache:made')
    expect(await countStatements(pool, () => make('made'))).toBe(1)
  })

  it('replays an outcome, whatever it was and however it came about', async () => {
    const fail = () => Promise.reject(new TypeError('declined'))
    const calls: (() => Promise<unknown>)[] = [
      () => idempotency.execute('alone', () => 1),
      () => idempotency.execute('in a transaction', () => 1, { transaction: true }),
      () => idempotency.execute('failed', fail, { storeFailure: () => true }).catch(() => {}),
    ]
    for (const call of calls) expect(await cost(call)).toBe(1)
  })

  it('is all that a waiter spends on each look', async () => {
    await idempotency.execute('warm', () => 1)
    await claim('idempotency:claimed')
    const look = () => idempotency.execute('claimed', () => 1, { wait: 0 }).catch((error) => error.name)
    expect(await countStatements(pool, look)).toBe(1)
    expect(await look()).toBe('InProgressError')
  })

  describe('is exceeded only by who has to', () => {
    /** The second call is another's: the first prepares its statements. */
    const first = async (call: (key: string) => Promise<unknown>) => {
      await call('one')
      return countStatements(pool, () => call('another'))
    }

    it('make a value: to look, claim, store and release', async () => {
      expect(await first((key) => state.cache.getOrSet(key, () => 1, { ttl: 60_000 }))).toBe(4)
    })

    it('run an operation: to look, claim, record and release', async () => {
      expect(await first((key) => idempotency.execute(key, () => 1))).toBe(4)
    })

    it('run it in a transaction: to begin, assert the claim, see that it is open, and commit besides', async () => {
      expect(await first((key) => idempotency.execute(`${key} transfer`, () => 1, { transaction: true }))).toBe(8)
    })
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
