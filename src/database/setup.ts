import { sql } from 'drizzle-orm'
import { SchemaError } from '../errors.js'
import * as schema from '../schema/index.js'
import type { ConnectionClient, PoolClient } from './client.js'
import { failureOf } from './failures.js'
import { type Difference, differences, liveTables } from './live-tables.js'
import { Executor, query } from './statement.js'
import { createTable, declaredTable } from './tables.js'
import { relaxations, upgradeStatements } from './upgrade.js'

const tables = Object.values(schema).map(declaredTable)

// Rewriting a large table takes its time.
const LONGEST_STATEMENT = 10 * 60_000

// Seconds to wait for another process that is setting up, and for transactions that use a table: DDL would for a year.
const LONGEST_WAIT = 60

// TIMESTAMP columns turn into DATETIME by the session's zone, and a value that does not fit must not be cut.
const SESSION = "set time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES'"

// Only the connection's database counts. MySQL 9.7 has no SHA1.
const lockName = sql`concat('goscope-mysql:', left(sha2(database(), 256), 40))`
const takeSetupLock = query<{ taken: number | null }>(
  sql`select get_lock(${lockName}, ${sql.raw(String(LONGEST_WAIT))}) as taken`,
)
const releaseSetupLock = query(sql`select release_lock(${lockName})`)
const selectedDatabase = query<{ name: string | null }>(sql`select database() as name`)

/**
 * Makes the live tables equal to the declared ones.
 *
 * When they already are, this reads information_schema and does nothing else, so a user without CREATE rights may
 * call it. Otherwise one process at a time, guarded by GET_LOCK, creates and upgrades what is missing.
 *
 * @param mayCreate - Whether to run DDL. If not, a difference is an error.
 * @param keyPrefix - Whose prefix checkpoints get that were saved by a library that knew none.
 * @throws {@link SchemaError}
 */
export async function setUp(client: PoolClient, mayCreate: boolean, keyPrefix: string): Promise<void> {
  const executor = new Executor(client)
  const plan = await planFor(executor, keyPrefix)
  if (plan.problems.length === 0) return
  const [selected] = await selectedDatabase(executor)
  if (selected?.name == null) {
    throw new SchemaError('expected a pool whose connections select a database, got none: name one in its URL')
  }
  if (!mayCreate || plan.foreign.length > 0) throw describe(plan)
  await client.withConnection(LONGEST_STATEMENT, async (connection) => {
    // The connection is closed afterwards, so nobody else meets these settings.
    await connection.send(SESSION)
    await connection.send(`set lock_wait_timeout = ${LONGEST_WAIT}, autocommit = 1`)
    const ownExecutor = new Executor(connection)
    const [row] = await takeSetupLock(ownExecutor)
    if (row?.taken !== 1) {
      throw new SchemaError(`another process has been setting up the tables for ${LONGEST_WAIT} s: try again`)
    }
    // Another process may have done it meanwhile.
    const current = await planFor(ownExecutor, keyPrefix)
    for (const statement of current.statements) await runOrExplain(connection, statement, current)
    const left = await planFor(ownExecutor, keyPrefix)
    if (left.problems.length > 0) throw describe(left)
    await releaseSetupLock(ownExecutor)
  })
}

/** How the live tables differ from the declared ones, and what to do about it. */
interface Plan {
  readonly problems: readonly Difference[]
  /** What makes our part of the tables right. */
  readonly statements: readonly string[]
  /** What would have to be done to columns of somebody else. */
  readonly foreign: readonly string[]
  /** Whether there is an existing table among those to be changed. */
  readonly alters: boolean
}

async function planFor(executor: Executor, keyPrefix: string): Promise<Plan> {
  const live = await liveTables(executor)
  const problems: Difference[] = []
  const statements: string[] = []
  const foreign: string[] = []
  let alters = false
  for (const table of tables) {
    const actual = live.get(table.name)
    const found = differences(table, actual)
    problems.push(...found)
    if (actual === undefined) {
      statements.push(createTable(table))
      continue
    }
    const relaxing = relaxations(table, actual)
    foreign.push(...relaxing)
    if (found.length > relaxing.length) {
      statements.push(...upgradeStatements(table, actual, keyPrefix))
      alters = true
    }
  }
  return { problems, statements, foreign, alters }
}

async function runOrExplain(connection: ConnectionClient, statement: string, plan: Plan): Promise<void> {
  try {
    await connection.send(statement)
  } catch (thrown) {
    const { error } = failureOf(thrown, 'connect')
    if (error.retryable) throw thrown
    const { cause } = error
    throw new SchemaError(`could not set up the tables. As a user who may, run:\n${script(plan)}`, { cause })
  }
}

function describe(plan: Plan): SchemaError {
  const problems = plan.problems.map(({ table, problem }) =>
    /^[.:]/.test(problem) ? table + problem : `${table} ${problem}`,
  )
  const call = plan.foreign.length > 0 ? 'Run' : 'Call connect() with createTables: true, or run'
  return new SchemaError(`${problems.join('; ')}. ${call}:\n${script(plan)}`)
}

function script({ statements, foreign, alters }: Plan): string {
  return [...(alters ? [SESSION] : []), ...statements, ...foreign].map((statement) => `${statement};`).join('\n')
}
