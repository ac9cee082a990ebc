import type { CacheProvider } from '../contracts.js'
import type { Database } from '../database/pool.js'
import type { AdapterOptions, ValueOptions } from '../options.js'
import { Cache } from '../providers/cache/cache-provider.js'
import { Adapter, adapterOptions, valueOptions } from './adapter.js'

/**
 * A cache in a MySQL or MariaDB database; shares its values with the cache of a {@link MySQLAdapter} of the same prefix.
 *
 * @example
 * ```ts
 * const cache = new MySQLCacheAdapter(pool, { keyPrefix: 'shop:' })
 * await cache.connect()
 * await cache.set('rates', { EUR: 1.08 }, 60_000)
 * ```
 */
export class MySQLCacheAdapter extends Adapter implements CacheProvider {
  readonly cache: Cache

  /**
   * Does no I/O and starts no timer.
   *
   * @throws {@link InvalidArgumentError}
   */
  constructor(database: Database, options: AdapterOptions & ValueOptions = {}) {
    super(database, options, [...adapterOptions, ...valueOptions])
    const { keyPrefix, codec } = this.options
    this.cache = new Cache(this.cacheContext(), keyPrefix, codec)
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
}
