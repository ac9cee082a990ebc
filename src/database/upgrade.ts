import { getTableName } from 'drizzle-orm'
import { KeySpace } from '../keys.js'
import { checkpoints, locks } from '../schema/index.js'
import { type LiveTable, legacyIndexes, obstacles } from './live-tables.js'
import { COLLATION, type DeclaredTable, quote, tableDefaults } from './tables.js'

/**
 * The statements that make an older table, such as one of go-go-scope's, equal to its declaration without losing
 * a row. DDL commits by itself, so a crash may fall between any two of them; each step therefore leaves a table
 * that still differs from its declaration until the last, and repeating a step changes nothing.
 *
 * 1. Change the engine, widen the keys and add the missing columns.
 * 2. Bring the keys into the stored form, by the rules of `keys.ts`, and give held locks a fencing token.
 * 3. Give every column its declared type and collation, and the table its indexes.
 *
 * @param keyPrefix - Whose prefix checkpoints get that were saved without one.
 */
export function upgradeStatements(declared: DeclaredTable, live: LiveTable, keyPrefix: string): string[] {
  const table = quote(declared.name)
  const statements: string[] = []
  const widened: string[] = []
  const texts: string[] = []
  // Other engines may not index keys of that length.
  if (live.engine !== 'InnoDB') widened.push('engine=InnoDB')
  for (const column of declared.columns) {
    const actual = live.columns.get(column.name)
    if (actual === undefined) {
      widened.push(`add column ${column.definition}`)
      continue
    }
    if (column.type.startsWith('varchar')) texts.push(column.name)
    if (column.isText && actual.collation !== COLLATION && column.type.startsWith('varchar')) {
      // Two keys that differ in trailing spaces only may both exist until step 2; keep the collation that tells them
      // apart. Those of other character sets do not.
      const collation = actual.collation?.startsWith('utf8mb4') ? actual.collation : COLLATION
      widened.push(
        `modify column ${quote(column.name)} ${column.type} character set utf8mb4 collate ${collation} ${actual.nullable ? 'null' : 'not null'}`,
      )
    } else if (column.isText && actual.collation !== null && !actual.collation.startsWith('utf8mb4')) {
      widened.push(
        `modify column ${quote(column.name)} ${actual.type} character set utf8mb4 ${actual.nullable ? 'null' : 'not null'}`,
      )
    }
  }
  if (widened.length > 0) statements.push(`alter table ${table} ${widened.join(', ')}`)
  if (declared.name === getTableName(checkpoints)) {
    statements.push(markCheckpoints(table, keyPrefix))
  } else {
    for (const name of texts) {
      statements.push(`update ${table} set ${quote(name)} = concat(${quote(name)}, '␠') where ${quote(name)} like '% '`)
    }
  }
  if (declared.name === getTableName(locks)) statements.push(giveTokens(table))
  const finished = [
    ...declared.columns.map((column) => `modify column ${column.definition}`),
    ...declared.indexes.filter(({ name }) => !live.indexes.has(name)).map((index) => `add ${index.definition}`),
    ...[...live.indexes].filter((name) => legacyIndexes.has(name)).map((name) => `drop index ${quote(name)}`),
    tableDefaults,
  ]
  statements.push(`alter table ${table} ${finished.join(', ')}`)
  return statements
}

/** go-go-scope knew no tokens; its rows got 0 with the column. Statements tell their outcome by the row's token. */
function giveTokens(table: string): string {
  return `update ${table} set fence = timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) where fence = 0`
}

/**
 * The statements that let this package write rows without the columns that somebody else added as NOT NULL and without
 * a default. They are for that somebody to judge and run.
 */
export function relaxations(declared: DeclaredTable, live: LiveTable): string[] {
  return obstacles(declared, live).map(([name, { type, collation }]) => {
    const collated = collation === null ? '' : ` collate ${collation}`
    return `alter table ${quote(declared.name)} modify column ${quote(name)} ${type}${collated} null`
  })
}

/**
 * go-go-scope stored ids as they were. Its rows are known by a missing token: this package always writes one.
 * The longest first, so that no new id meets an old one.
 */
function markCheckpoints(table: string, keyPrefix: string): string {
  const marked = (column: string, kind: 'checkpoint' | 'task') => {
    const start = new KeySpace(keyPrefix, kind).start.replaceAll("'", "''").replaceAll('\\', '\\\\')
    return `${column} = concat('${start}', ${column}, if(right(${column}, 1) in (' ', '␠') and char_length(${column}) > 0, '␠', ''))`
  }
  return `update ${table} set ${marked('id', 'checkpoint')}, ${marked('task_id', 'task')}, fence = 0
    where fence is null order by char_length(id) desc`
}
