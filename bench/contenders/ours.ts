import { createPool, type Pool } from 'mysql2'
import { type LockHandle, MySQLAdapter, MySQLIdempotencyAdapter } from '../../dist/index.js'
import { type Contender, type ContenderKind, expect, expectProduct, OURS } from './contender.js'
import {
  allKeys,
  BATCH,
  checkpointsOf,
  forAll,
  HOT_TTL,
  insist,
  KEPT_CHECKPOINTS,
  KEYS,
  keyOf,
  keysOf,
  productOf,
  progressData,
  TASKS,
  TTL,
  taskOf,
  turnsFrom,
} from './load.js'
import { fillCheckpoints } from './rows.js'

/** This package, at its defaults. */
export const ours: ContenderKind = {
  name: OURS,
  async setUp(url) {
    const { pool, state, idempotency, close } = openBoth(url, 16)
    await state.connect()
    await state.acquire('held', TTL)
    await forAll(allKeys, async (key) => (await state.acquire(key, TTL))?.release())
    await forAll(allKeys, (key) => state.setState(key, { state: 'closed', failureCount: 0 }))
    await state.cache.setMany(
      allKeys.map((key) => [key, productOf(key)]),
      TTL,
    )
    await fillCheckpoints(pool, turnsFrom(0, TASKS).map(taskOf), kinds)
    await forAll(allKeys, (key) => idempotency.set(key, productOf(key), TTL))
    await close()
  },
  async open(url, callers) {
    const { pool, state, idempotency, close } = openBoth(url, callers)
    return { works: worksWith(pool, state, idempotency, callers), close }
  },
}

function openBoth(url: string, callers: number) {
  const pool = createPool({ uri: url, connectionLimit: callers })
  const state = new MySQLAdapter(pool)
  const idempotency = new MySQLIdempotencyAdapter(pool)
  const close = async () => {
    await state.disconnect()
    await idempotency.disconnect()
    await pool.promise().end()
  }
  return { pool, state, idempotency, close }
}

// As the rows' keys begin.
const kinds = { checkpoint: 'checkpoint:', task: 'task:' }

function worksWith(
  pool: Pool,
  state: MySQLAdapter,
  idempotency: MySQLIdempotencyAdapter,
  callers: number,
): Contender['works'] {
  const newKey = (turn: number) => `new-${callers}-${turn}`
  const acquire = async (key: string) => {
    const lock = await state.acquire(key, TTL)
    expect(lock !== null, 'the lock')
    return lock
  }
  // By turn, as the others' are.
  const held = new Map<number, LockHandle>()
  const hold = async (first: number, count: number) => {
    await forAll(turnsFrom(first, count), async (turn) => {
      const lock = await state.acquire(keyOf(turn), TTL, 'bench')
      expect(lock !== null, 'the lock')
      held.set(turn, lock)
    })
  }
  const free = async () => {
    await pool
      .promise()
      .query("update go_goscope_locks set owner = null, expires_at = utc_timestamp(3) where `key` like 'lock:key-%'")
  }
  const holding = (use: (lock: LockHandle) => Promise<unknown>) => ({
    limit: KEYS,
    prepare: async (first: number, count: number) => {
      await free()
      await hold(first, count)
    },
    run: async (turn: number) => {
      const lock = held.get(turn) as LockHandle
      held.delete(turn)
      await use(lock)
    },
  })
  let holders = 0
  let counted = 0
  return {
    acquire: { limit: KEYS, prepare: free, run: (turn) => acquire(keyOf(turn)) },
    'acquire new': { run: (turn) => acquire(newKey(turn)) },
    'acquire held': { run: async () => expect((await state.acquire('held', TTL)) === null, 'a refusal') },
    'acquire + release': {
      prepare: free,
      run: async (turn) => (await acquire(keyOf(turn))).release(),
    },
    'hot lock': {
      async run() {
        const lock = await insist(() => state.acquire('hot', HOT_TTL))
        holders++
        await new Promise(setImmediate)
        const alone = holders-- === 1
        await lock.release()
        expect(alone, 'one holder at a time')
      },
    },
    release: holding((lock) => lock.release()),
    extend: holding(async (lock) => expect(await lock.extend(TTL), 'a prolonged lock')),
    isValid: holding(async (lock) => expect(await lock.isValid(), 'a valid lock')),
    getState: { run: async (turn) => expect((await state.getState(keyOf(turn)))?.state === 'closed', 'a state') },
    recordFailure: {
      run: async (turn) => expect((await state.recordFailure(keyOf(turn), 1e9)) > 0, 'a count'),
    },
    'recordFailure hot': {
      prepare: async () => {
        counted = (await state.getState('hot'))?.failureCount ?? 0
      },
      run: () => state.recordFailure('hot', 1e9),
      audit: async (succeeded) => succeeded - (((await state.getState('hot'))?.failureCount ?? 0) - counted),
    },
    recordSuccess: {
      prepare: async () => {
        await pool.promise().query('update go_goscope_circuit set failure_count = 0')
      },
      run: (turn) => state.recordSuccess(keyOf(turn)),
    },
    get: { run: async (turn) => expectProduct(keyOf(turn), await state.get(keyOf(turn))) },
    has: { run: async (turn) => expect(await state.has(keyOf(turn)), 'a value') },
    set: { run: (turn) => state.set(keyOf(turn), productOf(keyOf(turn)), TTL) },
    'set new': { run: (turn) => state.set(newKey(turn), productOf(newKey(turn)), TTL) },
    delete: {
      limit: KEYS,
      prepare: (first, count) => {
        const keys = turnsFrom(first, count).map(newKey)
        return state.cache.setMany(
          keys.map((key) => [key, productOf(key)]),
          TTL,
        )
      },
      run: (turn) => state.delete(newKey(turn)),
    },
    getMany: {
      run: async (turn) => expect((await state.cache.getMany(keysOf(turn))).size === BATCH, 'all values'),
    },
    setMany: {
      run: (turn) =>
        state.cache.setMany(
          keysOf(turn).map((key) => [key, productOf(key)]),
          TTL,
        ),
    },
    getOrSet: {
      run: async (turn) => {
        const value = await state.cache.getOrSet(keyOf(turn), () => null, { ttl: TTL })
        expectProduct(keyOf(turn), value)
      },
    },
    save: {
      run: (turn) =>
        state.save({
          id: newKey(turn),
          taskId: `saved-${taskOf(turn)}`,
          sequence: turn,
          timestamp: Date.now(),
          progress: 12.5,
          data: progressData,
        }),
    },
    load: { run: async (turn) => expect((await state.load(`${taskOf(turn)}-1`)) !== undefined, 'a checkpoint') },
    loadLatest: {
      run: async (turn) => {
        const latest = await state.loadLatest(taskOf(turn))
        expect(latest?.sequence === checkpointsOf('').length, 'the latest checkpoint')
      },
    },
    cleanup: {
      limit: TASKS,
      prepare: (first, count) => fillCheckpoints(pool, turnsFrom(first, count).map(newKey), kinds),
      run: (turn) => state.cleanup(newKey(turn), KEPT_CHECKPOINTS),
    },
    'record get': { run: async (turn) => expectProduct(keyOf(turn), (await idempotency.get(keyOf(turn)))?.value) },
    'record set': { run: (turn) => idempotency.set(keyOf(turn), productOf(keyOf(turn)), TTL) },
    execute: { run: (turn) => idempotency.execute(newKey(turn), () => ({ receipt: turn }), { ttl: TTL }) },
    'execute again': {
      run: async (turn) => expectProduct(keyOf(turn), await idempotency.execute(keyOf(turn), () => null, { ttl: TTL })),
    },
  }
}
