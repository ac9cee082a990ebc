import { getTableName, sql } from 'drizzle-orm'
import * as schema from '../schema/index.js'
import { type Executor, query } from './statement.js'
import { COLLATION, type DeclaredTable } from './tables.js'

/** A table as it is in the database. */
export interface LiveTable {
  readonly engine: string | null
  readonly columns: ReadonlyMap<string, LiveColumn>
  readonly indexes: ReadonlySet<string>
}

/** A column as it is in the database. */
export interface LiveColumn {
  readonly type: string
  readonly nullable: boolean
  readonly collation: string | null
  /** Whether an INSERT may leave the column out. */
  readonly optional: boolean
  readonly onUpdate: boolean
}

/** One way in which a table is not as declared. */
export interface Difference {
  readonly table: string
  /** Reads on after the table's name. */
  readonly problem: string
}

interface Found {
  readonly tableName: string
  readonly engine: string | null
  readonly columnName: string | null
  readonly columnType: string | null
  readonly isNullable: string | null
  readonly collation: string | null
  readonly columnDefault: string | null
  readonly extra: string | null
  readonly indexName: string | null
}

const names = sql.join(
  Object.values(schema).map((table) => sql.raw(`'${getTableName(table)}'`)),
  sql`, `,
)
const isOurs = sql`table_schema = database() and table_name in (${names})`

/**
 * Tells all in one round trip: the tables, their columns, their indexes. Names are compared exactly and each view is
 * asked on its own; for a pattern, or a view that depends on another one, MariaDB opens every table of the database.
 */
const describe = query<Found>(sql`
  select table_name as tableName, engine as engine, null as columnName, null as columnType, null as isNullable,
    null as collation, null as columnDefault, null as extra, null as indexName
  from information_schema.tables where ${isOurs}
  union all
  select table_name, null, column_name, column_type, is_nullable, collation_name, column_default, extra, null
  from information_schema.columns where ${isOurs}
  union all
  select table_name, null, null, null, null, null, null, null, index_name
  from information_schema.statistics where ${isOurs}`)

/** Reads the tables of the connection's database. */
export async function liveTables(executor: Executor): Promise<Map<string, LiveTable>> {
  const tables = new Map<string, { engine: string | null; columns: Map<string, LiveColumn>; indexes: Set<string> }>()
  for (const row of await describe(executor)) {
    let table = tables.get(row.tableName)
    if (table === undefined) {
      table = { engine: null, columns: new Map(), indexes: new Set() }
      tables.set(row.tableName, table)
    }
    table.engine ??= row.engine
    if (row.columnName !== null) table.columns.set(row.columnName, liveColumn(row))
    if (row.indexName !== null) table.indexes.add(row.indexName)
  }
  return tables
}

function liveColumn({ columnType, isNullable, collation, columnDefault, extra }: Found): LiveColumn {
  return {
    type: String(columnType),
    nullable: isNullable === 'YES',
    collation,
    optional: isNullable === 'YES' || columnDefault !== null || /auto_increment|GENERATED/i.test(extra ?? ''),
    onUpdate: /on update/i.test(extra ?? ''),
  }
}

/** How the live table differs from its declaration; empty when it does not. */
export function differences(declared: DeclaredTable, live: LiveTable | undefined): Difference[] {
  const found: string[] = []
  if (live === undefined) return [{ table: declared.name, problem: 'does not exist' }]
  if (live.engine !== 'InnoDB') found.push(`: expected the engine InnoDB, got ${live.engine}`)
  for (const column of declared.columns) {
    const actual = live.columns.get(column.name)
    if (actual === undefined) {
      found.push(`.${column.name} does not exist`)
      continue
    }
    if (actual.type !== column.type) found.push(`.${column.name}: expected ${column.type}, got ${actual.type}`)
    if (column.isText && actual.collation !== COLLATION) {
      found.push(`.${column.name}: expected the collation ${COLLATION}, got ${actual.collation}`)
    }
    if (actual.nullable !== column.nullable) {
      found.push(`.${column.name}: expected ${column.nullable ? 'NULL' : 'NOT NULL'}, got the contrary`)
    }
    if (actual.onUpdate) found.push(`.${column.name}: expected no ON UPDATE clause`)
  }
  for (const [name] of obstacles(declared, live)) found.push(`.${name} is not declared, and has no default`)
  for (const { name } of declared.indexes) {
    if (!live.indexes.has(name)) found.push(`: the index ${name} does not exist`)
  }
  for (const name of live.indexes) {
    if (legacyIndexes.has(name)) found.push(`: the index ${name} slows writes down`)
  }
  return found.map((problem) => ({ table: declared.name, problem }))
}

/** The columns that somebody else added in a way that keeps this package from writing rows. */
export function obstacles(declared: DeclaredTable, live: LiveTable): [name: string, column: LiveColumn][] {
  const names = new Set(declared.columns.map((column) => column.name))
  return [...live.columns].filter(([name, column]) => !names.has(name) && !column.optional)
}

/** Indexes that go-go-scope creates and that are not declared. Others may be the user's own, and are left alone. */
export const legacyIndexes: ReadonlySet<string> = new Set([
  'idx_expires',
  'idx_updated',
  'idx_checkpoints_task',
  'idx_checkpoints_sequence',
])
