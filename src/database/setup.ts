import { sql } from 'drizzle-orm'
import { SchemaError } from '../errors.js'
import * as schema from '../schema/index.js'
import type { ConnectionClient, PoolClient } from './client.js'
import { failureOf } from './failures.js'
import { type Difference, differences, type LiveTable, liveTables } from './live-tables.js'
import { Executor, query } from './statement.js'
import { createTable, type DeclaredTable, declaredTable } from './tables.js'
import { upgradeStatements } from './upgrade.js'

const tables = Object.values(schema).map(declaredTable)

// Rewriting a large table takes its time.
const LONGEST_STATEMENT = 10 * 60_000

// Seconds to wait for another process that is setting up, and for transactions that use a table.
const LONGEST_WAIT = 60

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
  const found = await findDifferences(executor)
  if (found.length === 0) return
  const [selected] = await selectedDatabase(executor)
  if (selected?.name == null) {
    throw new SchemaError('expected a pool whose connections select a database, got none: name one in its URL')
  }
  if (!mayCreate) throw new SchemaError(describe(found, await statementsFor(executor, keyPrefix)))
  await client.withConnection(LONGEST_STATEMENT, async (connection) => {
    await prepareSession(connection)
    const ownExecutor = new Executor(connection)
    const [row] = await takeSetupLock(ownExecutor)
    if (row?.taken !== 1) {
      throw new SchemaError(`another process has been setting up the tables for ${LONGEST_WAIT} s: try again`)
    }
    // Another process may have done it meanwhile.
    const statements = await statementsFor(ownExecutor, keyPrefix)
    for (const statement of statements) await runOrExplain(connection, statement, statements)
    const left = await findDifferences(ownExecutor)
    if (left.length > 0) throw new SchemaError(describe(left, await statementsFor(ownExecutor, keyPrefix)))
    await releaseSetupLock(ownExecutor)
  })
}

async function findDifferences(executor: Executor): Promise<Difference[]> {
  const live = await liveTables(executor)
  return tables.flatMap((table) => differences(table, live.get(table.name)))
}

async function statementsFor(executor: Executor, keyPrefix: string): Promise<string[]> {
  const live = await liveTables(executor)
  return tables.flatMap((table) => statementsForTable(table, live.get(table.name), keyPrefix))
}

function statementsForTable(table: DeclaredTable, live: LiveTable | undefined, keyPrefix: string): string[] {
  if (live === undefined) return [createTable(table)]
  return differences(table, live).length === 0 ? [] : upgradeStatements(table, live, keyPrefix)
}

// The connection is closed afterwards, so nobody else meets these settings.
async function prepareSession(connection: ConnectionClient): Promise<void> {
  // TIMESTAMP columns turn into DATETIME by the session's zone; DDL waits for open transactions for up to a year.
  await connection.send(
    `set time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES', lock_wait_timeout = ${LONGEST_WAIT}, autocommit = 1`,
  )
}

async function runOrExplain(connection: ConnectionClient, statement: string, all: readonly string[]): Promise<void> {
  try {
    await connection.send(statement)
  } catch (thrown) {
    const { error } = failureOf(thrown, 'connect')
    if (error.retryable) throw error
    throw new SchemaError(`could not set up the tables. As a user who may, run:\n${script(all)}`, { cause: thrown })
  }
}

function describe(found: readonly Difference[], statements: readonly string[]): string {
  const problems = found.map(({ table, problem }) => (/^[.:]/.test(problem) ? table + problem : `${table} ${problem}`))
  return `${problems.join('; ')}. Call connect() with createTables: true, or run:\n${script(statements)}`
}

function script(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};`).join('\n')
}
