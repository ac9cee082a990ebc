import type {
  CacheProvider,
  Checkpoint,
  CheckpointProvider,
  CircuitBreakerPersistedState,
  CircuitBreakerStateProvider,
  LockProvider,
} from '../contracts.js'
import type { Database } from '../database/pool.js'
import type { MySQLAdapterOptions } from '../options.js'
import { Cache } from '../providers/cache/cache-provider.js'
import type { SaveOptions } from '../providers/checkpoints/checkpoint-options.js'
import { Checkpoints } from '../providers/checkpoints/checkpoint-provider.js'
import { Circuits } from '../providers/circuits/circuit-provider.js'
import type { CircuitCallback } from '../providers/circuits/circuit-watcher.js'
import type { Lock } from '../providers/locks/lock-handle.js'
import type { Locks } from '../providers/locks/lock-provider.js'
import { BreakerRepository } from '../repositories/breaker-repository.js'
import { CheckpointRepository } from '../repositories/checkpoint-repository.js'
import { CircuitRepository } from '../repositories/circuit-repository.js'
import { Adapter, adapterOptions, valueOptions } from './adapter.js'

/**
 * Locks, circuit-breaker state, cache and checkpoints in one MySQL or MariaDB database.
 * The providers are at hand as `locks`, `circuits`, `cache` and `checkpoints`; the methods that go-go-scope
 * expects of a persistence adapter lead to them.
 *
 * @example
 * ```ts
 * const pool = createPool({ uri: process.env.DATABASE_URL })
 * const state = new MySQLAdapter(pool, { keyPrefix: 'billing:' })
 * await state.connect()
 * const lock = await state.acquire('invoice:42', 30_000)
 * ```
 */
export class MySQLAdapter
  extends Adapter
  implements LockProvider, CircuitBreakerStateProvider, CacheProvider, CheckpointProvider
{
  readonly locks: Locks
  readonly circuits: Circuits
  readonly cache: Cache
  readonly checkpoints: Checkpoints

  /**
   * Does no I/O and starts no timer.
   *
   * @throws {@link InvalidArgumentError}
   */
  constructor(database: Database, options: MySQLAdapterOptions = {}) {
    super(database, options, [...adapterOptions, ...valueOptions, 'defaultLockTTL', 'lockPatience', 'pollInterval'])
    const { client, executor, operations } = this
    const { keyPrefix, timeout, codec, pollInterval } = this.options
    this.locks = this.locksOf('lock')
    const circuits = new CircuitRepository(executor)
    const breakers = new BreakerRepository(executor)
    const permits = this.locksOf('circuit')
    this.circuits = new Circuits({ repository: circuits, breakers, operations, permits, pollInterval }, keyPrefix)
    this.cache = new Cache(this.cacheContext(), keyPrefix, codec)
    const repository = new CheckpointRepository(executor)
    const taskLocks = this.locksOf('task')
    this.checkpoints = new Checkpoints({ client, repository, operations, codec, timeout, taskLocks }, keyPrefix)
  }

  /** See {@link Locks.acquire}. */
  acquire(key: string, ttl?: number, owner?: string): Promise<Lock | null> {
    return this.locks.acquire(key, ttl, owner)
  }

  /** See {@link Locks.extend}. */
  extend(key: string, ttl: number, owner: string): Promise<boolean> {
    return this.locks.extend(key, ttl, owner)
  }

  /** See {@link Locks.forceRelease}. */
  forceRelease(key: string): Promise<void> {
    return this.locks.forceRelease(key)
  }

  /** See {@link Circuits.getState}. */
  getState(key: string): Promise<CircuitBreakerPersistedState | null> {
    return this.circuits.getState(key)
  }

  /** See {@link Circuits.setState}. */
  setState(key: string, state: CircuitBreakerPersistedState): Promise<void> {
    return this.circuits.setState(key, state)
  }

  /** See {@link Circuits.recordFailure}. */
  recordFailure(key: string, maxFailures: number, reason?: string): Promise<number> {
    return this.circuits.recordFailure(key, maxFailures, reason)
  }

  /** See {@link Circuits.recordSuccess}. */
  recordSuccess(key: string): Promise<void> {
    return this.circuits.recordSuccess(key)
  }

  /** See {@link Circuits.subscribe}. */
  subscribe(key: string, callback: CircuitCallback): () => void {
    return this.circuits.subscribe(key, callback)
  }

  /** See {@link Cache.get}. */
  get<T>(key: string): Promise<T | null> {
    return this.cache.get<T>(key)
  }

  /** See {@link Cache.set}. */
  set<T>(key: string, value: T, ttl?: number): Promise<void> {
    return this.cache.set(key, value, ttl)
  }

  /** See {@link Cache.delete}. */
  delete(key: string): Promise<void> {
    return this.cache.delete(key)
  }

  /** See {@link Cache.has}. */
  has(key: string): Promise<boolean> {
    return this.cache.has(key)
  }

  /** See {@link Cache.clear}. */
  clear(): Promise<void> {
    return this.cache.clear()
  }

  /** See {@link Cache.keys}. */
  keys(pattern?: string): Promise<string[]> {
    return this.cache.keys(pattern)
  }

  /** See {@link Checkpoints.save}. */
  save<T>(checkpoint: Checkpoint<T>, options?: SaveOptions): Promise<void> {
    return this.checkpoints.save(checkpoint, options)
  }

  /** See {@link Checkpoints.load}. */
  load<T>(checkpointId: string): Promise<Checkpoint<T> | undefined> {
    return this.checkpoints.load<T>(checkpointId)
  }

  /** See {@link Checkpoints.loadLatest}. */
  loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined> {
    return this.checkpoints.loadLatest<T>(taskId)
  }

  /** See {@link Checkpoints.list}. */
  list(taskId: string): Promise<Checkpoint<unknown>[]> {
    return this.checkpoints.list(taskId)
  }

  /** See {@link Checkpoints.cleanup}. */
  cleanup(taskId: string, keepCount: number): Promise<void> {
    return this.checkpoints.cleanup(taskId, keepCount)
  }

  /** See {@link Checkpoints.deleteAll}. */
  deleteAll(taskId: string): Promise<void> {
    return this.checkpoints.deleteAll(taskId)
  }

  protected override flush(): Promise<void> {
    return this.circuits.close()
  }
}
