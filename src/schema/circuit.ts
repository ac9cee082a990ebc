import { mysqlEnum, mysqlTable } from 'drizzle-orm/mysql-core'
import { absent, countColumn, instantColumn, jsonColumn, keyColumn } from './columns.js'

/**
 * One row per circuit breaker.
 *
 * `failure_count` is declared first: Drizzle emits SET in this order, and the other columns decide by the new count.
 */
export const circuit = mysqlTable('go_goscope_circuit', {
  failureCount: countColumn('failure_count').notNull(),
  key: keyColumn('key').primaryKey(),
  state: mysqlEnum('state', ['closed', 'open', 'half-open']).notNull(),
  lastFailureTime: instantColumn('last_failure_time').default(absent),
  lastSuccessTime: instantColumn('last_success_time').default(absent),
  /** When the present outage began; NULL while closed. */
  openedAt: instantColumn('opened_at').default(absent),
  /** How often half-open probing has failed during the present outage. */
  attempt: countColumn('attempt').default(absent),
  /** Grows with every change of state. */
  version: countColumn('version').default(absent),
  /** How many probes have succeeded since the circuit became half-open. */
  successes: countColumn('successes').default(absent),
  /** Since when the circuit is held open by hand; NULL while it is not. */
  isolatedAt: instantColumn('isolated_at').default(absent),
  /** What each process has counted since the circuit last changed. */
  reports: jsonColumn('reports').default(absent),
  /** The latest failures, for people who look. */
  details: jsonColumn('details').default(absent),
  updatedAt: instantColumn('updated_at').notNull(),
})
