import { MySQLAdapter, MySQLIdempotencyAdapter } from '@go-go-scope/persistence-mysql'
import { createPool, type Pool } from 'mysql2'
import type { LockHandle } from '../../dist/index.js'
import { type Contender, type ContenderKind, expect, expectProduct } from './contender.js'
import {
  allKeys,
  CHECKPOINTS_PER_TASK,
  forAll,
  HOT_TTL,
  insist,
  KEPT_CHECKPOINTS,
  KEYS,
  keyOf,
  productOf,
  progressData,
  TASKS,
  TTL,
  taskOf,
  turnsFrom,
} from './load.js'
import { fillCheckpoints, insertRows } from './rows.js'

/** The MySQL adapter that go-go-scope has, at its defaults. */
export const goGoScope: ContenderKind = {
  name: 'go-go-scope',
  async setUp(url) {
    const pool = createPool({ uri: url })
    const state = new MySQLAdapter(pool.promise())
    await state.connect()
    await state.acquire('held', TTL)
    await forAll(['hot', ...allKeys], (key) => state.setState(key, { state: 'closed', failureCount: 0 }))
    await forAll(allKeys, (key) => state.set(key, productOf(key), TTL))
    await fillCheckpoints(pool, turnsFrom(0, TASKS).map(taskOf))
    // Its table of outcomes is not made: the statement is refused, and so are all that use the table.
    await new MySQLIdempotencyAdapter(pool.promise()).connect().catch(() => {})
    await pool.promise().end()
  },
  async open(url, callers) {
    const pool = createPool({ uri: url, connectionLimit: callers })
    const works = worksWith(pool, callers)
    return { works, close: () => pool.promise().end() }
  },
}

function worksWith(pool: Pool, callers: number): Contender['works'] {
  const state = new MySQLAdapter(pool.promise())
  const idempotency = new MySQLIdempotencyAdapter(pool.promise())
  const newKey = (turn: number) => `new-${callers}-${turn}`
  const acquire = async (key: string): Promise<LockHandle> => {
    const lock: LockHandle | null = await state.acquire(key, TTL)
    expect(lock !== null, 'the lock')
    return lock
  }
  const freeAll = async () => {
    await pool.promise().query("delete from go_goscope_locks where `key` <> 'lock:held'")
  }
  const held = new Map<number, LockHandle>()
  const holding = (use: (lock: LockHandle) => Promise<unknown>) => ({
    limit: KEYS,
    prepare: async (first: number, count: number) => {
      await freeAll()
      for (const turn of turnsFrom(first, count)) held.set(turn, await acquire(keyOf(turn)))
    },
    run: async (turn: number) => {
      const lock = held.get(turn) as LockHandle
      held.delete(turn)
      await use(lock)
    },
  })
  let holders = 0
  let counted = 0
  const failures = async (): Promise<number> => (await state.getState('hot'))?.failureCount ?? 0
  return {
    'acquire new': { run: (turn) => acquire(newKey(turn)) },
    'acquire held': { run: async () => expect((await state.acquire('held', TTL)) === null, 'a refusal') },
    'acquire + release': { prepare: freeAll, run: async (turn) => (await acquire(keyOf(turn))).release() },
    'hot lock': {
      prepare: freeAll,
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
    recordFailure: { run: async (turn) => expect((await state.recordFailure(keyOf(turn), 1e9)) > 0, 'a count') },
    'recordFailure hot': {
      prepare: async () => {
        counted = await failures()
      },
      run: () => state.recordFailure('hot', 1e9),
      audit: async (succeeded) => succeeded - ((await failures()) - counted),
    },
    recordSuccess: { run: (turn) => state.recordSuccess(keyOf(turn)) },
    get: { run: async (turn) => expectProduct(keyOf(turn), await state.get(keyOf(turn))) },
    has: { run: async (turn) => expect(await state.has(keyOf(turn)), 'a value') },
    set: { run: (turn) => state.set(keyOf(turn), productOf(keyOf(turn)), TTL) },
    'set new': { run: (turn) => state.set(newKey(turn), productOf(newKey(turn)), TTL) },
    delete: {
      limit: KEYS,
      prepare: (first, count) => {
        const value = JSON.stringify(productOf('new'))
        const rows = turnsFrom(first, count).map((turn) => [`cache:${newKey(turn)}`, value])
        return insertRows(pool, 'go_goscope_cache', ['key', 'value'], rows)
      },
      run: (turn) => state.delete(newKey(turn)),
    },
    save: {
      run: (turn) =>
        state.save({
          id: newKey(turn),
          taskId: `saved-${taskOf(turn)}`,
          sequence: turn,
          timestamp: Date.now(),
          progress: 12,
          data: progressData,
        }),
    },
    load: { run: async (turn) => expect((await state.load(`${taskOf(turn)}-1`)) !== undefined, 'a checkpoint') },
    loadLatest: {
      run: async (turn) => {
        const latest = await state.loadLatest(taskOf(turn))
        expect(latest?.sequence === CHECKPOINTS_PER_TASK, 'the latest checkpoint')
      },
    },
    cleanup: {
      limit: TASKS,
      prepare: (first, count) => fillCheckpoints(pool, turnsFrom(first, count).map(newKey)),
      run: (turn) => state.cleanup(newKey(turn), KEPT_CHECKPOINTS),
    },
    'record get': { run: async (turn) => expectProduct(keyOf(turn), (await idempotency.get(keyOf(turn)))?.value) },
    'record set': { run: (turn) => idempotency.set(keyOf(turn), productOf(keyOf(turn)), TTL) },
  }
}
