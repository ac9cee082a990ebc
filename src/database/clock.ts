import { type SQL, sql } from 'drizzle-orm'

/**
 * The database's clock, in UTC and microseconds, read when the expression is evaluated.
 *
 * NOW() and UTC_TIMESTAMP() stand still from the start of the statement; one that waited for a row lock would
 * decide by the time before the wait. SYSDATE() moves, but speaks the session's time zone. The difference of
 * SYSDATE() and NOW(), both in that zone, is the time since the start (and undoes a session's SET timestamp).
 */
export const now: SQL = sql`(utc_timestamp(6) + interval timestampdiff(microsecond, now(6), sysdate(6)) microsecond)`

/** {@link now} as microseconds since 1970. */
export const nowMicroseconds: SQL<number> = sql`(timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) + timestampdiff(microsecond, now(6), sysdate(6)))`

/**
 * The moment `milliseconds` from now, and up to one more: the columns keep whole milliseconds, servers round or cut
 * the rest, and nothing may expire early.
 */
export function after(milliseconds: unknown): SQL {
  return sql`(${now} + interval ${milliseconds} * 1000 + 999 microsecond)`
}

/** An instant as milliseconds since 1970, independent of what session and driver make of DATETIMEs. */
export function toMilliseconds(instant: unknown): SQL<number> {
  return sql<number>`timestampdiff(microsecond, '1970-01-01', ${instant}) div 1000`.mapWith(Number)
}

/** Milliseconds since 1970 as an instant, independent of the session's time zone. */
export function fromMilliseconds(milliseconds: unknown): SQL {
  return sql`('1970-01-01' + interval ${milliseconds} * 1000 microsecond)`
}
