import { createPool, type Pool, type ResultSetHeader } from 'mysql2'
import { MySQLAdapter } from '../../dist/index.js'
import { type Contender, type ContenderKind, type ContenderName, expect } from './contender.js'
import {
  allKeys,
  CHECKPOINTS_PER_TASK,
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
import { fillCheckpoints, insertRows } from './rows.js'

/** Sends a prepared statement on a connection of the pool. */
type Execute = <Result = unknown[]>(sql: string, values?: readonly unknown[]) => Promise<Result>

/** Bare statements over mysql2's pool: the cheapest that could do the same on the same tables. They guarantee nothing. */
export const mysql2: ContenderKind = floor('mysql2', (pool) => (sql, values = []) => {
  return new Promise((resolve, reject) => {
    pool.execute(sql, values as never, (error, result) => (error === null ? resolve(result as never) : reject(error)))
  })
})

/** The same through mysql2's promises, which most services use. */
export const mysql2Promise: ContenderKind = floor('mysql2/promise', (pool) => {
  const promises = pool.promise()
  return async (sql, values = []) => (await promises.execute(sql, values as never))[0] as never
})

const soon = 'utc_timestamp(3) + interval 600 second'

function floor(name: ContenderName, executeOn: (pool: Pool) => Execute): ContenderKind {
  return {
    name,
    setUp: fill,
    async open(url, callers) {
      const pool = createPool({ uri: url, connectionLimit: callers })
      const execute = executeOn(pool)
      return { works: worksWith(execute, pool, callers), close: () => pool.promise().end() }
    },
  }
}

function worksWith(execute: Execute, pool: Pool, callers: number): Contender['works'] {
  const one = async (sql: string, key: string) => {
    const rows = await execute(sql, [key])
    expect(rows.length === 1, 'a row')
    return rows[0] as { value: string; data: string }
  }
  const parsed = async (sql: string, key: string) => {
    const { value } = await one(sql, key)
    expect(JSON.parse(value).id === key, 'the value of the key')
  }
  const take = (key: string) =>
    execute(
      `update go_goscope_locks set fence = fence + 1, owner = 'bench', acquired_at = utc_timestamp(3), expires_at = ${soon}
      where \`key\` = ?`,
      [key],
    )
  const free = (key: string) =>
    execute('update go_goscope_locks set owner = null, expires_at = utc_timestamp(3) where `key` = ?', [key])
  const takeIfFree = async () => {
    const header = await execute<ResultSetHeader>(
      `update go_goscope_locks set owner = 'bench', expires_at = ${soon} where \`key\` = 'hot' and owner is null`,
    )
    return header.affectedRows === 1
  }
  const upsert = (key: string) =>
    execute(
      `insert into go_goscope_cache (\`key\`, value, expires_at) values (?, ?, ${soon})
      on duplicate key update value = values(value), expires_at = values(expires_at)`,
      [key, JSON.stringify(productOf(key))],
    )
  const insert = (key: string) =>
    execute(`insert into go_goscope_cache (\`key\`, value, expires_at) values (?, ?, ${soon})`, [
      key,
      JSON.stringify(productOf(key)),
    ])
  const count = (key: string) =>
    execute(
      `update go_goscope_circuit set failure_count = failure_count + 1, last_failure_time = utc_timestamp(3),
        updated_at = utc_timestamp(3) where \`key\` = ?`,
      [key],
    )
  const newKey = (turn: number) => `new-${callers}-${turn}`
  const marks = keysOf(0).map(() => '?')
  const findValue = 'select value, expires_at from go_goscope_cache where `key` = ?'
  let holders = 0
  return {
    'select 1': { run: () => execute('select 1') },
    acquire: { run: (turn) => take(keyOf(turn)) },
    'acquire new': {
      run: (turn) =>
        execute(
          `insert into go_goscope_locks (fence, \`key\`, owner, acquired_at, expires_at)
          values (1, ?, 'bench', utc_timestamp(3), ${soon})`,
          [newKey(turn)],
        ),
    },
    'acquire held': { run: () => one('select owner, expires_at from go_goscope_locks where `key` = ?', 'held') },
    'acquire + release': {
      run: async (turn) => {
        await take(keyOf(turn))
        await free(keyOf(turn))
      },
    },
    'hot lock': {
      async run() {
        await insist(async () => (await takeIfFree()) || null)
        holders++
        await new Promise(setImmediate)
        const alone = holders-- === 1
        await free('hot')
        expect(alone, 'one holder at a time')
      },
    },
    release: {
      limit: KEYS,
      prepare: (first, count) => hold(pool, turnsFrom(first, count).map(keyOf)),
      run: (turn) => free(keyOf(turn)),
    },
    extend: {
      run: (turn) => execute(`update go_goscope_locks set expires_at = ${soon} where \`key\` = ?`, [keyOf(turn)]),
    },
    isValid: { run: (turn) => one('select fence from go_goscope_locks where `key` = ?', keyOf(turn)) },
    getState: {
      run: (turn) =>
        one(
          'select state, failure_count, last_failure_time, last_success_time from go_goscope_circuit where `key` = ?',
          keyOf(turn),
        ),
    },
    recordFailure: { run: (turn) => count(keyOf(turn)) },
    'recordFailure hot': { run: () => count('hot') },
    recordSuccess: {
      run: (turn) =>
        execute(`update go_goscope_circuit set failure_count = 0 where \`key\` = ? and state = 'open'`, [keyOf(turn)]),
    },
    get: { run: (turn) => parsed(findValue, keyOf(turn)) },
    has: { run: (turn) => one('select `key` from go_goscope_cache where `key` = ?', keyOf(turn)) },
    set: { run: (turn) => upsert(keyOf(turn)) },
    'set new': { run: (turn) => insert(newKey(turn)) },
    delete: {
      limit: KEYS,
      prepare: (first, count) => fillCache(pool, turnsFrom(first, count).map(newKey)),
      run: (turn) => execute('delete from go_goscope_cache where `key` = ?', [newKey(turn)]),
    },
    getMany: {
      async run(turn) {
        const keys = keysOf(turn)
        const rows = await execute<{ value: string }[]>(
          `select \`key\`, value from go_goscope_cache where \`key\` in (${marks.join()})`,
          keys,
        )
        expect(rows.length === keys.length, 'all values')
        for (const { value } of rows) JSON.parse(value)
      },
    },
    setMany: {
      run: (turn) =>
        execute(
          `insert into go_goscope_cache (\`key\`, value, expires_at) values ${marks.map(() => `(?, ?, ${soon})`).join()}
          on duplicate key update value = values(value), expires_at = values(expires_at)`,
          keysOf(turn).flatMap((key) => [key, JSON.stringify(productOf(key))]),
        ),
    },
    getOrSet: { run: (turn) => parsed(findValue, keyOf(turn)) },
    save: {
      run: (turn) =>
        execute(
          `insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at)
          values (?, ?, ?, ?, ?, ?, utc_timestamp(3))`,
          [newKey(turn), `saved-${taskOf(turn)}`, turn, Date.now(), 12.5, JSON.stringify(progressData)],
        ),
    },
    load: {
      run: async (turn) =>
        JSON.parse((await one('select * from go_goscope_checkpoints where id = ?', `${taskOf(turn)}-1`)).data),
    },
    loadLatest: {
      async run(turn) {
        const row = await one(
          'select * from go_goscope_checkpoints where task_id = ? order by sequence desc, timestamp desc limit 1',
          taskOf(turn),
        )
        return JSON.parse(row.data)
      },
    },
    cleanup: {
      limit: TASKS,
      prepare: (first, count) => fillCheckpoints(pool, turnsFrom(first, count).map(newKey)),
      run: (turn) =>
        execute(
          `delete from go_goscope_checkpoints where task_id = ? order by sequence, timestamp
          limit ${CHECKPOINTS_PER_TASK - KEPT_CHECKPOINTS}`,
          [newKey(turn)],
        ),
    },
    'record get': { run: (turn) => parsed(findValue, keyOf(turn)) },
    'record set': { run: (turn) => upsert(keyOf(turn)) },
    execute: { run: (turn) => insert(`executed-${newKey(turn)}`) },
    'execute again': { run: (turn) => parsed(findValue, keyOf(turn)) },
  }
}

async function fill(url: string): Promise<void> {
  const state = new MySQLAdapter(url)
  await state.connect()
  await state.disconnect()
  const pool = createPool({ uri: url })
  await hold(pool, ['held', ...allKeys])
  await insertRows(pool, 'go_goscope_locks', ['fence', 'key', 'expires_at'], [[1, 'hot', new Date()]])
  await insertRows(
    pool,
    'go_goscope_circuit',
    ['failure_count', 'key', 'state', 'updated_at'],
    ['hot', ...allKeys].map((key) => [0, key, 'closed', new Date()]),
  )
  await fillCache(pool, allKeys)
  await fillCheckpoints(pool, turnsFrom(0, TASKS).map(taskOf))
  await pool.promise().end()
}

function hold(pool: Pool, keys: readonly string[]): Promise<void> {
  const later = new Date(Date.now() + TTL)
  const rows = keys.map((key) => [1, key, 'bench', later])
  return insertRows(pool, 'go_goscope_locks', ['fence', 'key', 'owner', 'expires_at'], rows)
}

function fillCache(pool: Pool, keys: readonly string[]): Promise<void> {
  const later = new Date(Date.now() + TTL)
  const rows = keys.map((key) => [key, JSON.stringify(productOf(key)), later])
  return insertRows(pool, 'go_goscope_cache', ['key', 'value', 'expires_at'], rows)
}
