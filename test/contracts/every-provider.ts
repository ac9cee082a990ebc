import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, InvalidArgumentError, MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { expect } from 'vitest'
import type { ServerContext } from '../support/every-server.js'
import { taken } from '../support/locks.js'

const awkward = `it's "quoted" \`ticked\` \\ \\' \\" \\\\ %_ ?:name \n\r\t\b\u0000\u001a '); drop table go_goscope_cache; -- 🔥é`
const value = {
  [awkward]: awkward,
  numbers: [0.1, -1.5e-300, 1e21, Number.MAX_SAFE_INTEGER, 0],
  date: '2024-03-31T02:30:00.000Z',
  nested: { null: null, true: true, empty: '', list: [[], {}] },
}

/** Every provider over one database and prefix. */
export interface Client {
  readonly state: MySQLAdapter
  readonly idempotency: MySQLIdempotencyAdapter
}

export function client(database: Database, keyPrefix: string): Client {
  return {
    state: new MySQLAdapter(database, { keyPrefix }),
    idempotency: new MySQLIdempotencyAdapter(database, { keyPrefix }),
  }
}

/**
 * Uses every operation of every provider through `hostile`, whose pool is set up strangely, and checks with `plain`,
 * an ordinary client of the same prefix, that each sees at once what the other did.
 */
export async function exerciseProviders(context: ServerContext, hostile: Client, plain: Client): Promise<void> {
  await exerciseLocks(context, hostile, plain)
  await exerciseCircuits(context, hostile, plain)
  await exerciseCache(hostile, plain)
  await exerciseCheckpoints(hostile, plain)
  await exerciseIdempotency(context, hostile, plain)
}

async function exerciseLocks(context: ServerContext, hostile: Client, plain: Client): Promise<void> {
  const short = await taken(hostile.state.acquire('short', 20))
  await taken(plain.state.acquire('short of another', 20))
  const shortUntil = performance.now() + 40

  const lock = await taken(hostile.state.acquire(awkward, 60_000, awkward))
  expect(await plain.state.acquire(awkward, 60_000)).toBeNull()
  expect(await hostile.state.acquire(awkward, 60_000)).toBeNull()
  expect((await taken(hostile.state.acquire(awkward, 60_000, awkward))).fence).toBe(lock.fence)
  expect((await taken(plain.state.acquire(awkward, 60_000, awkward))).fence).toBe(lock.fence)
  expect(await hostile.state.extend(awkward, 90_000, awkward)).toBe(true)
  expect(await hostile.state.extend(awkward, 90_000, 'somebody')).toBe(false)
  expect(await lock.extend(90_000)).toBe(true)
  expect(await lock.isValid()).toBe(true)
  const [rows] = await context.admin.query<RowDataPacket[]>(
    `select timestampdiff(microsecond, utc_timestamp(6), expires_at) / 1e6 as seconds, owner, fence
    from go_goscope_locks where fence = ?`,
    [lock.fence],
  )
  expect(rows[0]?.owner).toBe(awkward)
  expect(Number(rows[0]?.seconds)).toBeGreaterThan(60)
  expect(Number(rows[0]?.seconds)).toBeLessThan(91)

  await lock.release()
  expect(await lock.isValid()).toBe(false)
  const successor = await taken(plain.state.acquire(awkward, 60_000))
  expect(successor.fence).toBeGreaterThan(lock.fence)
  expect(await hostile.state.acquire(awkward, 60_000)).toBeNull()
  await lock.release()
  expect(await lock.extend(90_000)).toBe(false)
  expect(await successor.isValid()).toBe(true)
  await hostile.state.forceRelease(awkward)
  expect(await successor.isValid()).toBe(false)
  expect((await taken(hostile.state.acquire(awkward, 60_000))).fence).toBeGreaterThan(successor.fence)

  await sleep(Math.max(0, shortUntil - performance.now()))
  expect(await short.isValid()).toBe(false)
  expect(await short.extend(60_000)).toBe(false)
  expect((await taken(plain.state.acquire('short', 60_000))).fence).toBeGreaterThan(short.fence)
  await taken(hostile.state.acquire('short of another', 60_000))
}

async function exerciseCircuits(context: ServerContext, hostile: Client, plain: Client): Promise<void> {
  expect(await hostile.state.getState(awkward)).toBeNull()
  expect(await hostile.state.recordFailure(awkward, 3, awkward)).toBe(1)
  expect(await plain.state.recordFailure(awkward, 3)).toBe(2)
  expect(await hostile.state.getState(awkward)).toMatchObject({ state: 'closed', failureCount: 2 })
  expect(await hostile.state.recordFailure(awkward, 3, awkward)).toBe(3)
  expect(await hostile.state.recordFailure(awkward, 3)).toBe(4)
  await hostile.state.recordSuccess(awkward)
  const open = await plain.state.getState(awkward)
  expect(open).toMatchObject({ state: 'open', failureCount: 4 })
  expect(await hostile.state.getState(awkward)).toStrictEqual(open)
  expect(Math.abs((open?.lastFailureTime ?? 0) - (await databaseTime(context)))).toBeLessThan(10_000)
  const [rows] = await context.admin.query<RowDataPacket[]>(
    `select details, timestampdiff(second, opened_at, utc_timestamp()) as since, opened_at <= last_failure_time as inOrder
    from go_goscope_circuit where json_value(details, '$[1].reason') = ? order by updated_at desc limit 1`,
    [awkward],
  )
  expect(JSON.parse(rows[0]?.details).map((detail: { reason: string | null }) => detail.reason)).toEqual([
    null,
    awkward,
    null,
    awkward,
  ])
  expect(Number(rows[0]?.since)).toBeLessThan(10)
  expect(Number(rows[0]?.inOrder)).toBe(1)

  const stored = {
    state: 'half-open',
    failureCount: 9,
    lastFailureTime: 1_711_848_600_501,
    lastSuccessTime: 7,
  } as const
  await hostile.state.setState(awkward, stored)
  expect(await hostile.state.getState(awkward)).toStrictEqual(stored)
  expect(await plain.state.getState(awkward)).toStrictEqual(stored)
  await hostile.state.recordSuccess(awkward)
  expect(await hostile.state.getState(awkward)).toMatchObject({ state: 'closed', failureCount: 0 })
  await plain.state.setState(awkward, { state: 'half-open', failureCount: 0 })
  expect(await hostile.state.recordFailure(awkward, 100)).toBe(1)
  expect(await plain.state.getState(awkward)).toMatchObject({ state: 'open', failureCount: 1 })
}

async function exerciseCache(hostile: Client, plain: Client): Promise<void> {
  expect(await hostile.state.get(awkward)).toBeNull()
  await plain.state.set(awkward, 'earlier')
  expect(await hostile.state.get(awkward)).toBe('earlier')
  await hostile.state.set(awkward, value, 60_000)
  expect(await plain.state.get(awkward)).toStrictEqual(value)
  expect(await hostile.state.get(awkward)).toStrictEqual(value)
  await plain.state.set(awkward, 'later')
  expect(await hostile.state.get(awkward)).toBe('later')
  await hostile.state.set('null', null)
  expect(await hostile.state.has('null')).toBe(true)
  await hostile.state.set('', '')
  expect(await plain.state.get('')).toBe('')
  await hostile.state.set('passing', 1, 1)
  await hostile.state.set('␠', 1)
  await sleep(10)
  expect(await hostile.state.has('passing')).toBe(false)
  expect(await hostile.state.get('passing')).toBeNull()
  expect(await hostile.state.keys()).toEqual(['', awkward, 'null', '␠'])
  expect(await hostile.state.keys('*"quoted"*')).toEqual([awkward])
  expect(await hostile.state.keys('n?ll')).toEqual(['null'])
  expect(await hostile.state.keys('?')).toEqual(['␠'])
  await hostile.state.delete(awkward)
  expect(await plain.state.has(awkward)).toBe(false)
  await hostile.state.clear()
  expect(await plain.state.keys()).toEqual([])
}

async function exerciseCheckpoints(hostile: Client, plain: Client): Promise<void> {
  const checkpoints = [1, 2, 2 ** 40].map((sequence, index) => ({
    id: `${awkward}${index}`,
    taskId: awkward,
    sequence,
    timestamp: 1_711_848_600_501.25 + index,
    progress: 33.3 * index,
    data: value,
    ...(index === 1 && { estimatedTimeRemaining: 0.1 }),
  }))
  const [first, second, third] = checkpoints as [
    (typeof checkpoints)[0],
    (typeof checkpoints)[0],
    (typeof checkpoints)[0],
  ]
  await plain.state.save(first)
  await hostile.state.save(second)
  await hostile.state.save(third)
  expect(await hostile.state.load(first.id)).toStrictEqual(first)
  expect(await plain.state.load(second.id)).toStrictEqual(second)
  expect(await hostile.state.loadLatest(awkward)).toStrictEqual(third)
  expect(await hostile.state.list(awkward)).toStrictEqual(checkpoints)
  await hostile.state.save({ ...second, progress: 99.9 })
  expect((await plain.state.load(second.id))?.progress).toBe(99.9)
  await expect(hostile.state.save({ ...second, taskId: 'another' })).rejects.toBeInstanceOf(InvalidArgumentError)
  expect((await plain.state.load(second.id))?.taskId).toBe(awkward)
  await hostile.state.cleanup(awkward, 1)
  expect((await plain.state.list(awkward)).map(({ id }) => id)).toEqual([third.id])
  await hostile.state.deleteAll(awkward)
  expect(await plain.state.list(awkward)).toEqual([])
}

async function exerciseIdempotency(context: ServerContext, hostile: Client, plain: Client): Promise<void> {
  const outcome = [value, undefined, new Date(1_711_848_600_501), 2n ** 70n]
  await hostile.idempotency.set(awkward, outcome, 60_000)
  const found = await plain.idempotency.get(awkward)
  expect(found?.value).toStrictEqual(outcome)
  expect(await hostile.idempotency.get(awkward)).toStrictEqual(found)
  const remaining = (found?.expiresAt ?? 0) - (await databaseTime(context))
  expect(remaining).toBeGreaterThan(50_000)
  expect(remaining).toBeLessThanOrEqual(60_002)
  await plain.idempotency.set(awkward, 'later')
  expect(await hostile.idempotency.get(awkward)).toStrictEqual({ value: 'later' })
  await hostile.idempotency.delete(awkward)
  expect(await plain.idempotency.get(awkward)).toBeNull()
}

async function databaseTime(context: ServerContext): Promise<number> {
  const [rows] = await context.admin.query<RowDataPacket[]>(
    "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000 as now",
  )
  return Number(rows[0]?.now)
}
