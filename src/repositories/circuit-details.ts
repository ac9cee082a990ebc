import { type Placeholder, type SQL, sql } from 'drizzle-orm'
import { now } from '../database/clock.js'
import { circuit } from '../schema/index.js'

/** How many of the latest failures `details` shows. */
const SHOWN_FAILURES = 10

const { details } = circuit

/**
 * SQL for the latest failures in `details`.
 *
 * @returns `failure`, one entry; and `withFailure`, the column's text with that entry before the others.
 */
export function failureDetails(instance: Placeholder, reason: Placeholder): { failure: SQL; withFailure: SQL } {
  const failure = sql`json_object(
    'time', date_format(${now}, '%Y-%m-%dT%H:%i:%s.%fZ'), 'instance', ${instance}, 'reason', ${reason})`
  const withFailure = sql`json_remove(
    json_array_insert(if(json_valid(${details}), ${details}, '[]'), '$[0]', ${failure}),
    '$[${sql.raw(String(SHOWN_FAILURES))}]')`
  return { failure, withFailure }
}
