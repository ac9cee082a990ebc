import { createPool, type Pool, type PoolConnection } from 'mysql2'
import { MySQLAdapter } from '../../dist/index.js'
import type { Contender, ContenderKind, Work } from './contender.js'
import { KEYS, keyOf, productOf, progressData, TTL, taskOf } from './load.js'
import { ours } from './ours.js'

/**
 * This package's own statements, sent over a pool without the package: what it adds to their price is the difference
 * between this contender and itself, and what their guarantees cost the server is that between this one and the floor.
 */
export const sameStatement: ContenderKind = {
  name: 'same statement',
  setUp: ours.setUp,
  async open(url, callers) {
    const statements = await record(url)
    const pool = createPool({ uri: url, connectionLimit: callers })
    return { works: worksWith(pool, statements, callers), close: () => pool.promise().end() }
  },
}

type Value = string | number | null

interface Statement {
  readonly sql: string
  readonly values: readonly Value[]
}

// Stands for the key in the values of recorded statements.
const TEMPLATE = 'template'

type Recorded = Readonly<
  Record<'get' | 'set' | 'acquire' | 'release' | 'recordFailure' | 'save' | 'loadLatest', Statement>
>

/** What the package sends for each operation. */
async function record(url: string): Promise<Recorded> {
  const pool = createPool({ uri: url, connectionLimit: 1 })
  let latest: Statement | undefined
  pool.on('connection', (connection: PoolConnection) => {
    const observed = connection as unknown as { execute(sql: string, values: Value[], done: unknown): unknown }
    const execute = observed.execute.bind(connection)
    observed.execute = (sql, values, done) => {
      latest = { sql, values: [...values] }
      return execute(sql, values, done)
    }
  })
  const state = new MySQLAdapter(pool)
  const sent = async (call: Promise<unknown>): Promise<Statement> => {
    await call
    if (latest === undefined) throw new Error('expected a statement to be sent, got none')
    return latest
  }
  const acquire = await sent(state.acquire(TEMPLATE, TTL, 'bench'))
  const lock = await state.acquire(TEMPLATE, TTL, 'bench')
  const release = await sent(lock?.release() ?? Promise.resolve())
  const checkpoint = { id: TEMPLATE, taskId: 'saved', sequence: 1, timestamp: 1, progress: 12.5, data: progressData }
  const recorded = {
    acquire,
    release,
    get: await sent(state.get(TEMPLATE)),
    set: await sent(state.set(TEMPLATE, productOf(TEMPLATE), TTL)),
    recordFailure: await sent(state.recordFailure(TEMPLATE, 1e9)),
    save: await sent(state.save(checkpoint)),
    loadLatest: await sent(state.loadLatest(TEMPLATE)),
  }
  await state.disconnect()
  await pool.promise().end()
  return recorded
}

function worksWith(pool: Pool, statements: Recorded, callers: number): Contender['works'] {
  const send = ({ sql, values }: Statement, key: string) =>
    new Promise<unknown>((resolve, reject) => {
      const own = values.map((value) => (typeof value === 'string' ? value.replace(TEMPLATE, key) : value))
      pool.execute(sql, own, (error, result) => (error === null ? resolve(result) : reject(error)))
    })
  const work = (statement: Statement, keyOfTurn: (turn: number) => string): Work => ({
    run: (turn) => send(statement, keyOfTurn(turn)),
  })
  const parsed = (statement: Statement, column: string, keyOfTurn: (turn: number) => string): Work => ({
    run: async (turn) => {
      const [row] = (await send(statement, keyOfTurn(turn))) as Record<string, string>[]
      JSON.parse(row?.[column] as string)
    },
  })
  const { release } = statements
  const fence = release.values.find((value) => typeof value === 'number')
  const setAll =
    (assignments: string, values: unknown[] = []) =>
    async () => {
      await pool.promise().query(`update go_goscope_locks set ${assignments} where \`key\` like 'lock:key-%'`, values)
    }
  return {
    get: parsed(statements.get, 'value', keyOf),
    set: work(statements.set, keyOf),
    acquire: {
      ...work(statements.acquire, keyOf),
      limit: KEYS,
      prepare: setAll('owner = null, expires_at = utc_timestamp(3)'),
    },
    release: {
      ...work(release, keyOf),
      limit: KEYS,
      prepare: setAll("owner = 'bench', fence = ?, expires_at = utc_timestamp(3) + interval 600 second", [fence]),
    },
    recordFailure: work(statements.recordFailure, keyOf),
    save: work(statements.save, (turn) => `new-${callers}-${turn}`),
    loadLatest: parsed(statements.loadLatest, 'data', taskOf),
  }
}
