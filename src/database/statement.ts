import { fillPlaceholders, type Placeholder, SQL, sql } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import type { ResultSetHeader, RowDataPacket } from 'mysql2'
import type { Pool as PromisePool } from 'mysql2/promise'
import type { StatementClient } from './client.js'
import { type Dialects, inUTC } from './dialect.js'

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

/**
 * What to hand to a builder's `limit()`: a number there becomes a parameter, which mysql2 before 3.24 sends as DOUBLE,
 * and MySQL takes no such LIMIT. This one is part of the text.
 */
export function atMost(rows: number): Placeholder {
  // Drizzle embeds any fragment; its type names only placeholders.
  return sql.raw(String(rows)) as unknown as Placeholder
}

const dialect = new MySqlDialect()

/** Statements that Drizzle's builder cannot say, written as `sql` over schema objects; one text, or one for each kind of server. */
function compile<Result>(fragment: SQL | Dialects): Statement<Result> {
  const { mysql, mariadb } = fragment instanceof SQL ? { mysql: fragment, mariadb: fragment } : fragment
  const compiled = { mysql: dialect.sqlToQuery(mysql), mariadb: dialect.sqlToQuery(mariadb) }
  return async (executor, values = {}) => {
    const [result] = await executor.client.queryIn((family) => {
      const { sql: text, params } = compiled[family]
      return { sql: text, parameters: fillPlaceholders(params, values) }
    })
    return result as Result
  }
}

/** A write in `sql`, made to run in UTC unless it is written in dialects; resolves to the driver's header. */
export function command(fragment: SQL | Dialects): Statement<ResultSetHeader> {
  return compile(fragment instanceof SQL ? inUTC(fragment) : fragment)
}

// Few sizes keep the number of prepared statements small; a list is padded with its last item.
const listSizes = [1, 10, 50, 250, 1_000]

/** A statement whose `sql` holds a list of 1 to 1,000 parameters. */
type ListStatement<Result> = (
  executor: Executor,
  items: readonly string[],
  others?: Record<string, unknown>,
) => Promise<Result>

function compileList<Result>(build: (list: SQL) => Statement<Result>): ListStatement<Result> {
  const sized = new Map<number, Statement<Result>>()
  return (executor, items, others = {}) => {
    const size = listSizes.find((candidate) => candidate >= items.length)
    if (size === undefined || items.length === 0) throw new RangeError(`expected 1 to 1,000 items, got ${items.length}`)
    let sizedStatement = sized.get(size)
    if (sizedStatement === undefined) {
      const placeholders = Array.from({ length: size }, (_, index) => sql`${sql.placeholder(String(index))}`)
      sizedStatement = build(sql`(${sql.join(placeholders, sql`, `)})`)
      sized.set(size, sizedStatement)
    }
    const values: Record<string, unknown> = { ...others }
    for (let index = 0; index < size; index++) values[index] = items[Math.min(index, items.length - 1)]
    return sizedStatement(executor, values)
  }
}

/** A write with a list, as in `key in ${list}`. Repeating an item must not change what it does. */
export function listStatement(build: (list: SQL) => SQL | Dialects): ListStatement<ResultSetHeader> {
  return compileList((list) => command(build(list)))
}

/** A read with a list; resolves to the rows, with the columns named in the statement. */
export function listQuery<Row>(build: (list: SQL) => SQL): ListStatement<(Row & RowDataPacket)[]> {
  return compileList((list) => query<Row>(build(list)))
}

/** A read in `sql`; resolves to the rows, with the columns named in the statement. */
export const query: <Row>(fragment: SQL | Dialects) => Statement<(Row & RowDataPacket)[]> = compile
