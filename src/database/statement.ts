import { fillPlaceholders, type SQL, sql } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import type { ResultSetHeader, RowDataPacket } from 'mysql2'
import type { Pool as PromisePool } from 'mysql2/promise'
import type { StatementClient } from './client.js'

/** Where statements run: on the pool, or on the one connection of a transaction. */
export class Executor {
  /** Drizzle over this executor's client. */
  readonly database: MySql2Database
  /** @internal */
  readonly client: StatementClient

  constructor(client: StatementClient) {
    this.client = client
    this.database = drizzle(client as unknown as PromisePool)
  }
}

/** A query of Drizzle's builder after `.prepare()`. */
interface Prepared<Result> {
  execute(values?: Record<string, unknown>): Promise<Result>
}

/** A statement with placeholders, built once per executor. */
export type Statement<Result> = (executor: Executor, values?: Record<string, unknown>) => Promise<Result>

/**
 * A statement of Drizzle's builder, built at its first use on an executor and kept for later ones:
 * building costs as much as the round trip of a small read.
 *
 * @example
 * ```ts
 * const find = statement((database) =>
 *   database.select().from(locks).where(eq(locks.key, sql.placeholder('key'))).prepare())
 * const rows = await find(executor, { key })
 * ```
 */
export function statement<Result>(build: (database: MySql2Database) => Prepared<Result>): Statement<Result> {
  const built = new WeakMap<Executor, Prepared<Result>>()
  return (executor, values) => {
    let prepared = built.get(executor)
    if (prepared === undefined) {
      prepared = build(executor.database)
      built.set(executor, prepared)
    }
    return prepared.execute(values)
  }
}

const dialect = new MySqlDialect()

/** A statement that Drizzle's builder cannot say, written as `sql` over schema objects. */
function compile<Result>(fragment: SQL): Statement<Result> {
  const { sql: text, params } = dialect.sqlToQuery(fragment)
  return async (executor, values = {}) => {
    const [result] = await executor.client.query({ sql: text }, fillPlaceholders(params, values))
    return result as Result
  }
}

/** A write in `sql`; resolves to the driver's header. */
export const command: (fragment: SQL) => Statement<ResultSetHeader> = compile

// Few sizes keep the number of prepared statements small; a list is padded with its last item.
const listSizes = [1, 10, 100, 1_000]

/**
 * A write whose `sql` holds a list of up to 1,000 parameters, as in `key in ${list}`.
 * Repeating an item must not change what the statement does. Other placeholders go by their names.
 */
export function listStatement(
  build: (list: SQL) => SQL,
): (executor: Executor, items: readonly string[], others?: Record<string, unknown>) => Promise<ResultSetHeader> {
  const sized = new Map<number, Statement<ResultSetHeader>>()
  return (executor, items, others) => {
    const size = listSizes.find((candidate) => candidate >= items.length)
    if (size === undefined || items.length === 0) throw new RangeError(`expected 1 to 1,000 items, got ${items.length}`)
    let write = sized.get(size)
    if (write === undefined) {
      const placeholders = Array.from({ length: size }, (_, index) => sql`${sql.placeholder(String(index))}`)
      write = command(build(sql`(${sql.join(placeholders, sql`, `)})`))
      sized.set(size, write)
    }
    const values: Record<string, unknown> = { ...others }
    for (let index = 0; index < size; index++) values[index] = items[Math.min(index, items.length - 1)]
    return write(executor, values)
  }
}

/** A read in `sql`; resolves to the rows, with the columns named in the statement. */
export const query: <Row>(fragment: SQL) => Statement<(Row & RowDataPacket)[]> = compile
