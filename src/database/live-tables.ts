import { sql } from 'drizzle-orm'
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

// One row per column; the engine and the indexes ride along, so that one round trip tells all.
const describe = query<{
  tableName: string
  engine: string | null
  columnName: string
  columnType: string
  isNullable: string
  collation: string | null
  columnDefault: string | null
  extra: string
  indexes: string | null
}>(sql`
  select
    t.table_name as tableName, t.engine as engine, c.column_name as columnName, c.column_type as columnType,
    c.is_nullable as isNullable, c.collation_name as collation, c.column_default as columnDefault, c.extra as extra,
    (select group_concat(distinct s.index_name separator ',') from information_schema.statistics s
      where s.table_schema = t.table_schema and s.table_name = t.table_name) as indexes
  from information_schema.tables t
  join information_schema.columns c on c.table_schema = t.table_schema and c.table_name = t.table_name
  where t.table_schema = database() and t.table_name like 'go|_goscope|_%' escape '|'`)

/** Reads the tables of the connection's database. */
export async function liveTables(executor: Executor): Promise<Map<string, LiveTable>> {
  const tables = new Map<string, { engine: string | null; columns: Map<string, LiveColumn>; indexes: Set<string> }>()
  for (const row of await describe(executor)) {
    let table = tables.get(row.tableName)
    if (table === undefined) {
      table = { engine: row.engine, columns: new Map(), indexes: new Set(row.indexes?.split(',')) }
      tables.set(row.tableName, table)
    }
    table.columns.set(row.columnName, {
      type: String(row.columnType),
      nullable: row.isNullable === 'YES',
      collation: row.collation,
      optional: row.isNullable === 'YES' || row.columnDefault !== null || /auto_increment|GENERATED/i.test(row.extra),
      onUpdate: /on update/i.test(row.extra),
    })
  }
  return tables
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
  for (const [name, column] of live.columns) {
    const isDeclared = declared.columns.some((candidate) => candidate.name === name)
    if (!isDeclared && !column.optional) found.push(`.${name} is not declared, and has no default`)
  }
  for (const { name } of declared.indexes) {
    if (!live.indexes.has(name)) found.push(`: the index ${name} does not exist`)
  }
  for (const name of live.indexes) {
    if (legacyIndexes.has(name)) found.push(`: the index ${name} slows writes down`)
  }
  return found.map((problem) => ({ table: declared.name, problem }))
}

/** Indexes that go-go-scope creates and that are not declared. Others may be the user's own, and are left alone. */
export const legacyIndexes: ReadonlySet<string> = new Set([
  'idx_expires',
  'idx_updated',
  'idx_checkpoints_task',
  'idx_checkpoints_sequence',
])
