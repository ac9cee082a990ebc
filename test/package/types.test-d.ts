import { MySQLAdapter, MySQLCacheAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'

// The interfaces as go-go-scope declares them. Nothing here runs: the compiler checks it.

interface LockHandle {
  release(): Promise<void>
  extend(ttl: number): Promise<boolean>
  isValid(): Promise<boolean>
}

interface LockProvider {
  acquire(key: string, ttl: number, owner?: string): Promise<LockHandle | null>
  extend(key: string, ttl: number, owner: string): Promise<boolean>
  forceRelease(key: string): Promise<void>
}

interface CircuitBreakerPersistedState {
  state: 'closed' | 'open' | 'half-open'
  failureCount: number
  lastFailureTime?: number
  lastSuccessTime?: number
}

interface CircuitBreakerStateProvider {
  getState(key: string): Promise<CircuitBreakerPersistedState | null>
  setState(key: string, state: CircuitBreakerPersistedState): Promise<void>
  recordFailure(key: string, maxFailures: number): Promise<number>
  recordSuccess(key: string): Promise<void>
  subscribe?(key: string, callback: (state: CircuitBreakerPersistedState) => void): () => void
}

interface CacheProvider {
  get<T>(key: string): Promise<T | null>
  set<T>(key: string, value: T, ttl?: number): Promise<void>
  delete(key: string): Promise<void>
  has(key: string): Promise<boolean>
  clear(): Promise<void>
  keys(pattern?: string): Promise<string[]>
}

interface Checkpoint<T = unknown> {
  id: string
  taskId: string
  sequence: number
  timestamp: number
  progress: number
  data: T
  estimatedTimeRemaining?: number
}

interface CheckpointProvider {
  save<T>(checkpoint: Checkpoint<T>): Promise<void>
  loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined>
  load<T>(checkpointId: string): Promise<Checkpoint<T> | undefined>
  list(taskId: string): Promise<Checkpoint<unknown>[]>
  cleanup(taskId: string, keepCount: number): Promise<void>
  deleteAll(taskId: string): Promise<void>
}

interface IdempotencyProvider {
  get<T>(key: string): Promise<{ value: T; expiresAt?: number } | null>
  set<T>(key: string, value: T, ttl?: number): Promise<void>
  delete(key: string): Promise<void>
}

interface PersistenceAdapter {
  connect?(): Promise<void>
  disconnect?(): Promise<void>
  isConnected?(): boolean
}

interface PersistenceProviders {
  lock?: LockProvider
  circuitBreaker?: CircuitBreakerStateProvider
  cache?: CacheProvider
  checkpoint?: CheckpointProvider
  idempotency?: IdempotencyProvider
}

declare const url: string

const state = new MySQLAdapter(url)
const cache = new MySQLCacheAdapter(url)
const idempotency = new MySQLIdempotencyAdapter(url)

state satisfies LockProvider & CircuitBreakerStateProvider & CacheProvider & CheckpointProvider & PersistenceAdapter
state.locks satisfies LockProvider
state.circuits satisfies CircuitBreakerStateProvider
state.cache satisfies CacheProvider
state.checkpoints satisfies CheckpointProvider
cache satisfies CacheProvider & PersistenceAdapter
idempotency satisfies IdempotencyProvider & PersistenceAdapter
idempotency.idempotency satisfies IdempotencyProvider

export const providers: PersistenceProviders = {
  lock: state,
  circuitBreaker: state,
  cache,
  checkpoint: state,
  idempotency,
}

export class Subclass extends MySQLAdapter implements LockProvider, CircuitBreakerStateProvider, CacheProvider {}

// What comes back keeps its type.
export const rates: Promise<{ EUR: number } | null> = state.get<{ EUR: number }>('rates')
export const outcome: Promise<{ value: string; expiresAt?: number } | null> = idempotency.get<string>('charge')
export const latest: Promise<Checkpoint<{ row: number }> | undefined> = state.loadLatest<{ row: number }>('import')

// @ts-expect-error: the options of one adapter are not those of another one.
new MySQLCacheAdapter(url, { defaultLockTTL: 1 })
// @ts-expect-error: a number is no database.
new MySQLAdapter(42)
// @ts-expect-error: an idempotency adapter is no cache.
idempotency satisfies CacheProvider
// @ts-expect-error: a cache does not lock.
cache satisfies LockProvider
