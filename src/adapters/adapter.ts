import type { Pool } from 'mysql2'
import type { PersistenceAdapter } from '../contracts.js'
import { PoolClient } from '../database/client.js'
import { Operations } from '../database/operations.js'
import { type Database, openPool } from '../database/pool.js'
import { setUp } from '../database/setup.js'
import { Executor } from '../database/statement.js'
import type { KeyKind } from '../keys.js'
import { type MySQLAdapterOptions, type ResolvedOptions, resolveOptions } from '../options.js'
import type { CacheContext } from '../providers/cache/cache-provider.js'
import { Locks } from '../providers/locks/lock-provider.js'
import { CacheRangeRepository } from '../repositories/cache-range-repository.js'
import { CacheRepository } from '../repositories/cache-repository.js'
import { LockRepository } from '../repositories/lock-repository.js'

/** What all adapters have in common: the way to the database, and its beginning and end. */
export abstract class Adapter implements PersistenceAdapter {
  protected readonly options: ResolvedOptions
  protected readonly operations: Operations
  protected readonly executor: Executor
  protected readonly client: PoolClient
  readonly #pool: Pool
  readonly #endsPool: boolean
  #connecting: Promise<void> | undefined
  #disconnecting: Promise<void> | undefined
  #isConnected = false

  protected constructor(
    database: Database,
    options: MySQLAdapterOptions,
    knownOptions: readonly (keyof MySQLAdapterOptions)[],
  ) {
    this.options = resolveOptions(options, knownOptions)
    const { pool, isOwn } = openPool(database)
    this.#pool = pool
    this.#endsPool = isOwn || this.options.endPool
    this.client = new PoolClient(pool, this.options.timeout)
    this.operations = new Operations(this.options.retry)
    this.executor = new Executor(this.client)
  }

  /**
   * Creates the tables, upgrades older ones without losing a row, or, with `createTables: false`, verifies them.
   * Needs no more than SELECT rights when everything is as it should be. Any number of processes may call it at once.
   * Operations work without it where the tables exist.
   *
   * @throws {@link SchemaError} with the statements that mend the tables, when this adapter may not or cannot.
   * @throws {@link NotConnectedError} after `disconnect()`.
   * @throws {@link UnavailableError}
   */
  async connect(): Promise<void> {
    this.#connecting ??= this.operations
      .run('connect', () => setUp(this.client, this.options.createTables, this.options.keyPrefix))
      .then(
        () => {
          this.#isConnected = this.#disconnecting === undefined
        },
        (error) => {
          this.#isConnected = false
          throw error
        },
      )
      .finally(() => {
        this.#connecting = undefined
      })
    await this.#connecting
  }

  /**
   * Reports what breakers have counted, refuses further operations with {@link NotConnectedError}, and waits for the
   * running ones, and for whatever `idempotency.execute()` is running, until its outcome is stored. Ends the pool only
   * if the adapter opened it itself, from a URL, or was created with `endPool: true`. Harmless when repeated.
   */
  async disconnect(): Promise<void> {
    this.#isConnected = false
    this.#disconnecting ??= this.#end()
    await this.#disconnecting
  }

  /** `true` between a successful `connect()` and `disconnect()`. */
  isConnected(): boolean {
    return this.#isConnected
  }

  /** The locks of one kind: the kinds do not see each other's. */
  protected locksOf(kind: KeyKind): Locks {
    const { keyPrefix, defaultLockTTL, timeout, lockPatience: patience } = this.options
    const context = { repository: new LockRepository(this.executor), operations: this.operations, timeout, patience }
    return new Locks(context, keyPrefix, defaultLockTTL, kind)
  }

  /** What a cache of this adapter works with. */
  protected cacheContext(): CacheContext {
    const { executor, operations } = this
    const repository = new CacheRepository(executor)
    return { repository, ranges: new CacheRangeRepository(executor), operations, locks: this.locksOf('cache') }
  }

  /** What has to be said before the connection to the database ends. */
  protected async flush(): Promise<void> {}

  async #end(): Promise<void> {
    await this.flush()
    await this.operations.close()
    // A connection that broke cannot say goodbye; the pool is at its end all the same.
    if (this.#endsPool)
      await this.#pool
        .promise()
        .end()
        .catch(() => {})
  }
}

/** The names of the options that every adapter takes. */
export const adapterOptions = ['keyPrefix', 'createTables', 'timeout', 'retry', 'endPool'] as const

/** The names of the options that say how values are stored. */
export const valueOptions = ['codec', 'compressAbove'] as const
