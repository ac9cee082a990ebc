/**
 * Hands out locks that expire by themselves. Structurally equal to go-go-scope's `LockProvider`.
 */
export interface LockProvider {
  /**
   * Takes the lock when it is free, expired, or already held by the same owner.
   *
   * @param key - What is locked.
   * @param ttl - Milliseconds after which the lock expires unless it is extended.
   * @param owner - Who takes it. Chosen at random when absent.
   * @returns A handle, or `null` while somebody else holds the lock.
   */
  acquire(key: string, ttl: number, owner?: string): Promise<LockHandle | null>

  /**
   * Lets a held lock expire `ttl` milliseconds from now.
   *
   * @returns `false` when `owner` does not hold the lock any more; an expired lock is not revived.
   */
  extend(key: string, ttl: number, owner: string): Promise<boolean>

  /** Frees the lock, whoever holds it. Harmless when nobody does. */
  forceRelease(key: string): Promise<void>
}

/** One tenure of a lock, from its grant to its release, loss or expiry. */
export interface LockHandle {
  /** What is locked, as it was passed to `acquire`. */
  readonly key: string

  /** Who holds the lock. */
  readonly owner: string

  /**
   * The fencing token: larger than that of every earlier tenure of this key, below 2^53.
   * Hand it to the resource that the lock protects, and let the resource refuse smaller ones.
   */
  readonly fence: number

  /**
   * Milliseconds this process may still count on the lock, 0 when none.
   * Measured on the monotonic local clock from before the request was sent, so it errs on the short side.
   */
  readonly remaining: number

  /** Frees the lock if this tenure still holds it; never touches a successor's. Harmless when repeated. */
  release(): Promise<void>

  /** Lets the lock expire `ttl` milliseconds from now. `false` when this tenure is over. */
  extend(ttl: number): Promise<boolean>

  /** Asks the database whether this tenure still holds the lock. */
  isValid(): Promise<boolean>

  /** Releases the lock at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The three positions of a circuit breaker. */
export type CircuitState = 'closed' | 'open' | 'half-open'

/** What is stored of a circuit breaker. Times are milliseconds since 1970 (UTC). */
export interface CircuitBreakerPersistedState {
  state: CircuitState
  failureCount: number
  lastFailureTime?: number
  lastSuccessTime?: number
}

/**
 * Keeps circuit-breaker state that processes share.
 * Structurally equal to go-go-scope's `CircuitBreakerStateProvider`.
 */
export interface CircuitBreakerStateProvider {
  /** The stored state, or `null` when nothing was ever recorded under this key. */
  getState(key: string): Promise<CircuitBreakerPersistedState | null>

  /** Replaces the stored state. */
  setState(key: string, state: CircuitBreakerPersistedState): Promise<void>

  /**
   * Counts one failure, and opens the circuit when `maxFailures` is reached or the circuit was half-open.
   *
   * @returns The number of failures counted so far, this one included.
   */
  recordFailure(key: string, maxFailures: number): Promise<number>

  /** Sets the failure count back to 0 and closes a half-open circuit. */
  recordSuccess(key: string): Promise<void>

  /**
   * Calls back when the circuit changes its state.
   *
   * @returns A function that ends the subscription.
   */
  subscribe(key: string, callback: (state: CircuitBreakerPersistedState) => void): () => void
}

/** Keeps JSON values under keys. Structurally equal to go-go-scope's `CacheProvider`. */
export interface CacheProvider {
  /** The value, or `null` when there is none or it has expired. A stored `null` reads as `null` too; see {@link has}. */
  get<T>(key: string): Promise<T | null>

  /** Stores a value, for `ttl` milliseconds or, without one, until it is deleted. */
  set<T>(key: string, value: T, ttl?: number): Promise<void>

  /** Removes a value. Harmless when there is none. */
  delete(key: string): Promise<void>

  /** Whether a value, `null` included, is stored and has not expired. */
  has(key: string): Promise<boolean>

  /** Removes all values of this provider's prefix, and no others. */
  clear(): Promise<void>

  /**
   * The keys of all values that have not expired, in ascending order (by code point).
   *
   * @param pattern - `*` stands for any run of characters and `?` for one; a backslash before
   *   `*`, `?` or `\` makes that character literal. Everything else stands for itself.
   */
  keys(pattern?: string): Promise<string[]>
}

/** The progress of a task at one moment. Structurally equal to go-go-scope's `Checkpoint`. */
export interface Checkpoint<T = unknown> {
  /** Names this checkpoint. Saving the same id again replaces it. */
  id: string
  /** The task this checkpoint belongs to. */
  taskId: string
  /** Orders the checkpoints of a task: a whole number, 0 or more. */
  sequence: number
  /** When the progress was made: milliseconds since 1970. */
  timestamp: number
  /** How far the task is, usually in per cent; fractions are kept. */
  progress: number
  /** What the task needs to resume: anything JSON can hold. */
  data: T
  /** Milliseconds the task expects to need still. */
  estimatedTimeRemaining?: number
}

/** Keeps the checkpoints of tasks. Structurally equal to go-go-scope's `CheckpointProvider`. */
export interface CheckpointProvider {
  /** Stores a checkpoint, replacing the one of the same id. */
  save<T>(checkpoint: Checkpoint<T>): Promise<void>

  /** The checkpoint of this id, or `undefined` when there is none. */
  load<T>(checkpointId: string): Promise<Checkpoint<T> | undefined>

  /** The task's checkpoint with the highest sequence, or `undefined` when it has none. */
  loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined>

  /** All checkpoints of the task by ascending sequence. */
  list(taskId: string): Promise<Checkpoint<unknown>[]>

  /** Deletes all but the `keepCount` latest checkpoints of the task. */
  cleanup(taskId: string, keepCount: number): Promise<void>

  /** Deletes all checkpoints of the task. */
  deleteAll(taskId: string): Promise<void>
}

/** The stored outcome of an operation. */
export interface IdempotencyRecord<T> {
  value: T
  /** When the record expires: milliseconds since 1970 by the database's clock. Absent when it never does. */
  expiresAt?: number
}

/** Remembers outcomes by key. Structurally equal to go-go-scope's `IdempotencyProvider`. */
export interface IdempotencyProvider {
  /** The stored outcome, or `null` when there is none or it has expired. */
  get<T>(key: string): Promise<IdempotencyRecord<T> | null>

  /** Stores an outcome, for `ttl` milliseconds or, without one, until it is deleted. */
  set<T>(key: string, value: T, ttl?: number): Promise<void>

  /** Forgets an outcome. Harmless when there is none. */
  delete(key: string): Promise<void>
}

/** The life cycle of an adapter. Structurally equal to go-go-scope's `PersistenceAdapter`. */
export interface PersistenceAdapter {
  /** Creates or verifies the tables. */
  connect(): Promise<void>

  /** Waits for running operations and refuses later ones. Harmless when repeated. */
  disconnect(): Promise<void>

  /** `true` between a successful `connect()` and `disconnect()`. */
  isConnected(): boolean
}
