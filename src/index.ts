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
export type { OwnTransaction } from './database/own-transaction.js'
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
export type { GetOrSetOptions } from './providers/cache/cache-loader.js'
export type { Cache, CacheStats } from './providers/cache/cache-provider.js'
export type { TaskProgress } from './providers/checkpoints/checkpoint-mapping.js'
export type { RunOptions, SaveOptions } from './providers/checkpoints/checkpoint-options.js'
export type { Checkpoints } from './providers/checkpoints/checkpoint-provider.js'
export type { Task } from './providers/checkpoints/checkpoint-task.js'
export type { CallOptions, CircuitBreaker } from './providers/circuits/circuit-breaker.js'
export type { Call } from './providers/circuits/circuit-call.js'
export type { CircuitBreakerOptions, CircuitTransition } from './providers/circuits/circuit-options.js'
export type { CircuitDetails, CircuitFailure, Circuits } from './providers/circuits/circuit-provider.js'
export type { ExecuteOptions } from './providers/idempotency/idempotency-execution.js'
export type { Idempotency } from './providers/idempotency/idempotency-provider.js'
export type { Lock } from './providers/locks/lock-handle.js'
export type { Lease, LeaseOptions } from './providers/locks/lock-lease.js'
export type { HeldLock, Locks } from './providers/locks/lock-provider.js'
