import { type SQL, sql } from 'drizzle-orm'

/**
 * A write that decides by the time.
 *
 * It runs in UTC whatever the session's zone, so that a change to or from daylight saving between its start and
 * its decision cannot shift the clock by an hour. On MariaDB it fails at once (1205) where it would have to wait
 * for a row's lock; MySQL has no such switch for a single statement.
 *
 * One text serves both servers, which spares asking which one a connection reached: MySQL takes the first comment
 * for a comment, MariaDB the second one.
 */
export function decision(verb: 'insert' | 'update', rest: SQL): SQL {
  return sql.join(
    [
      sql`/*M!100500 set statement time_zone = '+00:00', innodb_lock_wait_timeout = 0 for */`,
      sql.raw(verb),
      sql`/*+ set_var(time_zone = '+00:00') */`,
      rest,
    ],
    sql` `,
  )
}
