import {
  ContentionError,
  PersistenceError,
  QueryError,
  SchemaError,
  SerializationError,
  UnavailableError,
} from '../errors.js'
import { NotAnswered, NotSent, NotSentInTime } from './client.js'

/**
 * What a failure means for repeating the statement:
 * - `contention`: the server undid it because of other transactions; repeating is safe.
 * - `unsent`: it never reached the server; repeating is safe.
 * - `unanswered`: the connection broke under it; it may have been carried out.
 * - `late`: the time for it ran out; repeating it would keep the caller waiting for longer than allowed.
 * - `final`: repeating it would fail again.
 */
export type FailureKind = 'contention' | 'unsent' | 'unanswered' | 'late' | 'final'

/** A failure as the caller will see it, and what it means for repeating. */
export interface Failure {
  readonly kind: FailureKind
  readonly error: PersistenceError
}

interface DriverError extends Error {
  readonly errno?: number
  readonly code?: string
  readonly sqlState?: string
  readonly fatal?: boolean
}

// 1020 record changed since last read, 1205 lock wait timeout, 1213 deadlock, 3572 NOWAIT met a lock,
// 1615 statement needs to be prepared again.
const contention = new Set([1020, 1205, 1213, 1615, 3572])

// Refused before the statement was looked at: 1040 and 1203 too many connections, 1226 user's limit reached,
// 1243 unknown prepared statement, 1290, 1792 and 1836 server only reads, 1461 too many prepared statements,
// 4031 idle for too long.
const unsent = new Set([1040, 1203, 1226, 1243, 1290, 1461, 1792, 1836, 4031])

// 1053 server shutdown, 1317 and 1927 and 3169 killed, 1152, 1158-1161 connection aborted.
const unanswered = new Set([1053, 1152, 1158, 1159, 1160, 1161, 1317, 1927, 3169])

// 1054 unknown column, 1146 no such table, 1176 no such index, 1364 column without default;
// 1264, 1265, 1292, 1366, 1406, 3854 and 3988 does not fit the column.
const schema = new Set([1054, 1146, 1176, 1264, 1265, 1292, 1364, 1366, 1406, 3854, 3988])

// 1044, 1045, 1142, 1143, 1227, 1698: the user lacks a privilege. 1049: no such database.
const hints: Readonly<Record<number, string>> = {
  1044: 'grant the user access to the database',
  1045: "check the user's name and password",
  1049: 'create the database',
  1142: 'grant the user SELECT, INSERT, UPDATE and DELETE on the go_goscope_ tables',
  1143: 'grant the user SELECT, INSERT, UPDATE and DELETE on the go_goscope_ tables',
  1227: 'grant the user the missing privilege',
  1698: "check the user's name and password",
}

// 1153 and 1301: larger than max_allowed_packet.
const oversize = new Set([1153, 1301])

// Their messages quote a value: 1062 and 1586 duplicate entry, 1292, 1366, 1411 and 1525 incorrect value,
// 1300 invalid string, 3854 no conversion between character sets.
const quoting = new Set([1062, 1292, 1300, 1366, 1411, 1525, 1586, 3854])

/**
 * Maps whatever a statement threw to one of this package's errors. Goes by the driver's error numbers,
 * never by message texts; Drizzle's own message is left out because it repeats all parameters.
 */
export function failureOf(thrown: unknown, operation: string): Failure {
  const cause = rootOf(thrown)
  if (cause instanceof PersistenceError) return { kind: 'final', error: cause }
  const details = { operation, cause: withoutValues(cause) }
  if (cause instanceof NotSent) {
    const number = (cause.cause as DriverError | undefined)?.errno
    if (number !== undefined && number in hints) return failureOf(cause.cause, operation)
    const kind = cause instanceof NotSentInTime ? 'late' : 'unsent'
    return { kind, error: new UnavailableError(cause.message, details) }
  }
  if (cause instanceof NotAnswered) return { kind: 'late', error: new UnavailableError(cause.message, details) }
  const { errno = 0, code = '', fatal = false } = cause as DriverError
  if (contention.has(errno)) {
    return {
      kind: 'contention',
      error: new ContentionError(`other transactions stood in the way (${code}): try again`, details),
    }
  }
  if (unsent.has(errno)) {
    return {
      kind: 'unsent',
      error: new UnavailableError(`the server takes no statements at present (${code})`, details),
    }
  }
  if (oversize.has(errno)) {
    return {
      kind: 'final',
      error: new SerializationError(`expected less than the server's max_allowed_packet (${code})`, details),
    }
  }
  if (schema.has(errno)) {
    return {
      kind: 'final',
      error: new SchemaError(
        `the tables are not as declared (${code}): call connect(), or run drizzle-kit push`,
        details,
      ),
    }
  }
  if (fatal || unanswered.has(errno) || errno < 0) {
    return { kind: 'unanswered', error: new UnavailableError(`the connection broke (${code || 'closed'})`, details) }
  }
  // An error of this package, or of its use of the driver. Drizzle's wrapper shows parameters.
  if (errno === 0) throw cause
  const hint = hints[errno]
  return {
    kind: 'final',
    error: new QueryError(
      `the server refused the statement (${code})${hint === undefined ? '' : `: ${hint}`}`,
      details,
    ),
  }
}

// Drizzle wraps what the client throws.
function rootOf(thrown: unknown): unknown {
  let error = thrown
  while (
    error instanceof Error &&
    !(error instanceof PersistenceError || error instanceof NotSent || error instanceof NotAnswered) &&
    (error as DriverError).errno === undefined &&
    error.cause instanceof Error
  ) {
    error = error.cause
  }
  return error
}

function withoutValues(cause: unknown): unknown {
  const { message, errno = 0, code, sqlState } = cause as DriverError
  if (!quoting.has(errno)) return cause
  return Object.assign(new Error(message.replace(/'.*'/s, "'…'")), { errno, code, sqlState })
}
