import type { IdempotencyProvider, IdempotencyRecord } from '../contracts.js'
import type { Database } from '../database/pool.js'
import type { AdapterOptions } from '../options.js'
import { Idempotency } from '../providers/idempotency/idempotency-provider.js'
import { CacheRepository } from '../repositories/cache-repository.js'
import { Adapter, adapterOptions } from './adapter.js'

/**
 * Remembers the outcomes of operations, so that a repeated one is answered instead of done twice.
 *
 * @example
 * ```ts
 * const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: 'billing:' })
 * await idempotency.connect()
 * await idempotency.set('charge:42', { receipt: 'R-1' }, 24 * 3_600_000)
 * const earlier = await idempotency.get<{ receipt: string }>('charge:42')
 * ```
 */
export class MySQLIdempotencyAdapter extends Adapter implements IdempotencyProvider {
  readonly idempotency: Idempotency

  /**
   * Does no I/O and starts no timer.
   *
   * @throws {@link InvalidArgumentError}
   */
  constructor(database: Database, options: AdapterOptions = {}) {
    super(database, options, adapterOptions)
    const { client, operations } = this
    const { keyPrefix, timeout } = this.options
    const repository = new CacheRepository(this.executor)
    const locks = this.locksOf('idempotency')
    this.idempotency = new Idempotency({ repository, operations, locks, client, timeout }, keyPrefix)
  }

  /** See {@link Idempotency.get}. */
  get<T>(key: string): Promise<IdempotencyRecord<T> | null> {
    return this.idempotency.get<T>(key)
  }

  /** See {@link Idempotency.set}. */
  set<T>(key: string, value: T, ttl?: number): Promise<void> {
    return this.idempotency.set(key, value, ttl)
  }

  /** See {@link Idempotency.delete}. */
  delete(key: string): Promise<void> {
    return this.idempotency.delete(key)
  }

  /** See {@link Idempotency.execute}. */
  get execute(): Idempotency['execute'] {
    return this.idempotency.execute.bind(this.idempotency)
  }
}
