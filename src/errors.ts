/** What an error is about; stable across versions, fit for `switch`. */
export type ErrorCode =
  | 'CALL_TIMEOUT'
  | 'CIRCUIT_OPEN'
  | 'CONTENTION'
  | 'IDEMPOTENCY_MISMATCH'
  | 'IN_PROGRESS'
  | 'INVALID_ARGUMENT'
  | 'LOCK_LOST'
  | 'NOT_CONNECTED'
  | 'QUERY'
  | 'SCHEMA'
  | 'SERIALIZATION'
  | 'UNAVAILABLE'

/** What may be known of a failure beyond its message. */
export interface ErrorDetails {
  /** The public method that failed, such as `acquire`. */
  readonly operation?: string | undefined
  /** The driver's or the caller's error behind this one. */
  readonly cause?: unknown
}

// Found through the registry of all realms, so that two copies of the package recognise each other's errors.
const brand = Symbol.for('goscope-mysql.error')

/**
 * The base of every error this package throws.
 *
 * `instanceof` compares codes, so it also holds between two installed copies of the package.
 *
 * @example
 * ```ts
 * try {
 *   await state.acquire('invoice:42', 30_000)
 * } catch (error) {
 *   if (error instanceof PersistenceError && error.retryable) await later()
 *   else throw error
 * }
 * ```
 */
export abstract class PersistenceError extends Error {
  static readonly [brand]: ErrorCode | '*' = '*'

  /** What the error is about. */
  readonly code: ErrorCode

  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean

  /** The public method that failed. */
  readonly operation: string | undefined

  readonly [brand]: ErrorCode

  protected constructor(code: ErrorCode, retryable: boolean, message: string, details: ErrorDetails) {
    super(
      details.operation === undefined ? message : `${details.operation}: ${message}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    )
    this.name = new.target.name
    this.code = code
    this[brand] = code
    this.retryable = retryable
    this.operation = details.operation
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: each class asks for its own code, not for that of the base.
    return isInstance(this, value)
  }
}

function isInstance(wanted: typeof PersistenceError, value: unknown): boolean {
  // A class that somebody derived has no code of its own.
  if (!Object.hasOwn(wanted, brand)) return Function.prototype[Symbol.hasInstance].call(wanted, value)
  if (typeof value !== 'object' || value === null || !(brand in value)) return false
  return wanted[brand] === '*' || wanted[brand] === value[brand]
}

/** An argument or option cannot be used. Nothing was sent to the database. */
export class InvalidArgumentError extends PersistenceError {
  static override readonly [brand] = 'INVALID_ARGUMENT'
  constructor(message: string, details: ErrorDetails = {}) {
    super('INVALID_ARGUMENT', false, message, details)
  }
}

/** The adapter was disconnected. Nothing was sent to the database. */
export class NotConnectedError extends PersistenceError {
  static override readonly [brand] = 'NOT_CONNECTED'
  constructor(message: string, details: ErrorDetails = {}) {
    super('NOT_CONNECTED', false, message, details)
  }
}

/** A table is missing or not as declared. The message names the command that mends it. */
export class SchemaError extends PersistenceError {
  static override readonly [brand] = 'SCHEMA'
  constructor(message: string, details: ErrorDetails = {}) {
    super('SCHEMA', false, message, details)
  }
}

/** Other transactions stood in the way longer than the retry budget. Nothing was changed. */
export class ContentionError extends PersistenceError {
  static override readonly [brand] = 'CONTENTION'
  constructor(message: string, details: ErrorDetails = {}) {
    super('CONTENTION', true, message, details)
  }
}

/**
 * The database could not be reached, or did not answer in time.
 * When the connection broke under a running statement, the statement may still have been carried out.
 */
export class UnavailableError extends PersistenceError {
  static override readonly [brand] = 'UNAVAILABLE'
  constructor(message: string, details: ErrorDetails = {}) {
    super('UNAVAILABLE', true, message, details)
  }
}

/** A value cannot be stored as it is, is too large for the server, or cannot be read back. */
export class SerializationError extends PersistenceError {
  static override readonly [brand] = 'SERIALIZATION'
  constructor(message: string, details: ErrorDetails = {}) {
    super('SERIALIZATION', false, message, details)
  }
}

/** The server refused a statement for a reason none of the other errors covers. */
export class QueryError extends PersistenceError {
  static override readonly [brand] = 'QUERY'
  constructor(message: string, details: ErrorDetails = {}) {
    super('QUERY', false, message, details)
  }
}

/**
 * How a lock was lost:
 * - `stolen`: it was released by force, or somebody else took it after it had expired.
 * - `expired`: its time ran out before it was renewed.
 * - `unreachable`: its time ran out while the database could not be reached.
 */
export type LockLossReason = 'stolen' | 'expired' | 'unreachable'

/** The lock is not held any more: stop working on what it protects. */
export class LockLostError extends PersistenceError {
  static override readonly [brand] = 'LOCK_LOST'
  /** How it was lost. */
  readonly reason: LockLossReason

  constructor(reason: LockLossReason, message: string, details: ErrorDetails = {}) {
    super('LOCK_LOST', false, message, details)
    this.reason = reason
  }
}

/** Another caller runs the operation and had not finished when the time to wait was up. */
export class InProgressError extends PersistenceError {
  static override readonly [brand] = 'IN_PROGRESS'
  constructor(message: string, details: ErrorDetails = {}) {
    super('IN_PROGRESS', true, message, details)
  }
}

/** The key was used before, for a request with another fingerprint. */
export class IdempotencyMismatchError extends PersistenceError {
  static override readonly [brand] = 'IDEMPOTENCY_MISMATCH'
  constructor(message: string, details: ErrorDetails = {}) {
    super('IDEMPOTENCY_MISMATCH', false, message, details)
  }
}

/** The circuit breaker did not let the call through; it was not made. */
export class CircuitOpenError extends PersistenceError {
  static override readonly [brand] = 'CIRCUIT_OPEN'
  /** Milliseconds until a call may be let through again; `Infinity` while the circuit is isolated. */
  readonly retryAfter: number

  constructor(retryAfter: number, message: string, details: ErrorDetails = {}) {
    super('CIRCUIT_OPEN', true, message, details)
    this.retryAfter = retryAfter
  }
}

/** A call through a circuit breaker took longer than its `timeout`. It may still be carried out. */
export class CallTimeoutError extends PersistenceError {
  static override readonly [brand] = 'CALL_TIMEOUT'
  constructor(message: string, details: ErrorDetails = {}) {
    super('CALL_TIMEOUT', true, message, details)
  }
}
