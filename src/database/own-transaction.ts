import { MySqlDialect } from 'drizzle-orm/mysql-core'
import { MySql2Session, MySql2Transaction } from 'drizzle-orm/mysql2'
import type { PoolConnection } from 'mysql2'

/** A transaction this package opened, as Drizzle's own: for any of the caller's tables, and with savepoints. */
export type OwnTransaction = MySql2Transaction<Record<string, never>, Record<string, never>>

const dialect = new MySqlDialect()

/** Drizzle's transaction over a connection on which one was begun. */
export function drizzleTransaction(connection: PoolConnection): OwnTransaction {
  const session = new MySql2Session<Record<string, never>, Record<string, never>>(
    connection.promise(),
    dialect,
    undefined,
    { mode: 'default' },
  )
  return new MySql2Transaction(dialect, session, undefined, 0, 'default')
}
