import { index, mysqlTable } from 'drizzle-orm/mysql-core'
import { absent, instantColumn, jsonColumn, keyColumn } from './columns.js'

/** One row per cached value, and per stored outcome of an idempotent operation. */
export const cache = mysqlTable(
  'go_goscope_cache',
  {
    key: keyColumn('key').primaryKey(),
    value: jsonColumn('value').notNull(),
    /** NULL for values that never expire. */
    expiresAt: instantColumn('expires_at').default(absent),
    /** From when on the value should be refreshed although it may still be served. */
    staleAt: instantColumn('stale_at').default(absent),
  },
  (table) => [index('go_goscope_cache_expires_at').on(table.expiresAt)],
)
