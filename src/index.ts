export { MySQLAdapter } from './adapters/mysql-adapter.js'
export { MySQLCacheAdapter } from './adapters/mysql-cache-adapter.js'
export { MySQLIdempotencyAdapter } from './adapters/mysql-idempotency-adapter.js'
export type { Codec } from './codec/codec.js'
export type {
  CacheProvider,
  Checkpoint,
  CheckpointProvider,
  CircuitBreakerPersistedState,
  CircuitBreakerStateProvider,
  CircuitState,
  IdempotencyProvider,
  IdempotencyRecord,
  LockHandle,
  LockProvider,
  PersistenceAdapter,
} from './contracts.js'
export type { Database, DrizzleDatabase } from './database/pool.js'
export type { Transaction } from './database/transaction.js'
export {
  CallTimeoutError,
  CircuitOpenError,
  ContentionError,
  type ErrorCode,
  type ErrorDetails,
  IdempotencyMismatchError,
  InProgressError,
  InvalidArgumentError,
  type LockLossReason,
  LockLostError,
  NotConnectedError,
  PersistenceError,
  QueryError,
  SchemaError,
  SerializationError,
  UnavailableError,
} from './errors.js'
export type { AdapterOptions, MySQLAdapterOptions, RetryOptions, ValueOptions } from './options.js'
export type { GetOrSetOptions } from './providers/cache-loader.js'
export type { Cache, CacheStats } from './providers/cache-provider.js'
export type { TaskProgress } from './providers/checkpoint-mapping.js'
export type { RunOptions, SaveOptions } from './providers/checkpoint-options.js'
export type { Checkpoints } from './providers/checkpoint-provider.js'
export type { Task } from './providers/checkpoint-task.js'
export type { CallOptions, CircuitBreaker } from './providers/circuit-breaker.js'
export type { Call } from './providers/circuit-call.js'
export type { CircuitBreakerOptions, CircuitTransition } from './providers/circuit-options.js'
export type { CircuitDetails, CircuitFailure, Circuits } from './providers/circuit-provider.js'
export type { ExecuteOptions } from './providers/idempotency-execution.js'
export type { Idempotency } from './providers/idempotency-provider.js'
export type { Lock } from './providers/lock-handle.js'
export type { Lease, LeaseOptions } from './providers/lock-lease.js'
export type { HeldLock, Locks } from './providers/lock-provider.js'
