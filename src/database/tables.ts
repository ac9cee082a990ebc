import { getTableConfig, type MySqlColumn, type MySqlTable } from 'drizzle-orm/mysql-core'

/** The collation of all text: compares code points, on every server. Drizzle cannot declare it. */
export const COLLATION = 'utf8mb4_bin'

/** A table as the schema declares it, and the DDL that makes it so. */
export interface DeclaredTable {
  readonly name: string
  readonly columns: readonly DeclaredColumn[]
  readonly primaryKey: string
  readonly indexes: readonly DeclaredIndex[]
}

/** A column as the schema declares it. */
export interface DeclaredColumn {
  readonly name: string
  /** As information_schema spells it. */
  readonly type: string
  readonly nullable: boolean
  /** Whether the column must have the collation above. */
  readonly isText: boolean
  /** What follows ADD COLUMN and MODIFY COLUMN. */
  readonly definition: string
}

/** A secondary index as the schema declares it. */
export interface DeclaredIndex {
  readonly name: string
  /** What follows ADD. */
  readonly definition: string
}

/** Reads a table's declaration from its Drizzle object, the single source of truth. */
export function declaredTable(table: MySqlTable): DeclaredTable {
  const { name, columns, indexes } = getTableConfig(table)
  const primary = columns.filter((column) => column.primary).map((column) => column.name)
  return {
    name,
    columns: columns.map(declaredColumn),
    primaryKey: primary.join(),
    indexes: indexes.map(({ config }) => ({
      name: config.name,
      definition: `index ${quote(config.name)} (${config.columns.map((column) => quote((column as MySqlColumn).name)).join(', ')})`,
    })),
  }
}

function declaredColumn(column: MySqlColumn): DeclaredColumn {
  const type = column.getSQLType()
  const isText = /^(varchar|longtext|enum)/.test(type)
  const collation = isText ? ` character set utf8mb4 collate ${COLLATION}` : ''
  return {
    name: column.name,
    type,
    nullable: !column.notNull,
    isText,
    // As the schema spells the default: drizzle-kit would rewrite a column without it on every push.
    definition: `${quote(column.name)} ${type}${collation} ${column.notNull ? 'not null' : 'null default (null)'}`,
  }
}

/** What the table's further text columns get, and those that drizzle-kit rewrites. */
export const tableDefaults = `default character set utf8mb4 collate ${COLLATION}`

/** The statement that creates the table. The engine is named because a server's default may not have transactions. */
export function createTable(table: DeclaredTable): string {
  const parts = [
    ...table.columns.map((column) => column.definition),
    `primary key (${quote(table.primaryKey)})`,
    ...table.indexes.map((index) => index.definition),
  ]
  return `create table if not exists ${quote(table.name)} (\n  ${parts.join(',\n  ')}\n) engine=InnoDB ${tableDefaults}`
}

/** A name as an identifier, independent of the session's sql_mode. */
export function quote(identifier: string): string {
  return `\`${identifier.replaceAll('`', '``')}\``
}
