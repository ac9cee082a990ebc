import { mysqlTable } from 'drizzle-orm/mysql-core'
import { absent, countColumn, instantColumn, keyColumn, ownerColumn } from './columns.js'

/**
 * One row per lock key. Releasing keeps the row, so that the fencing token keeps growing.
 *
 * `fence` is declared first because Drizzle emits SET in this order and the servers evaluate it left to right:
 * the decision who gets the lock must fall before the columns it reads are assigned.
 * There is no index on `expires_at`: it would cost up to half of the throughput.
 */
export const locks = mysqlTable('go_goscope_locks', {
  /** The fencing token of the present or latest tenure. */
  fence: countColumn('fence').notNull(),
  key: keyColumn('key').primaryKey(),
  /** Who holds the lock; NULL once it was released. */
  owner: ownerColumn('owner').default(absent),
  /** When the present tenure began. */
  acquiredAt: instantColumn('acquired_at').default(absent),
  expiresAt: instantColumn('expires_at').notNull(),
})
