import { richCodec } from '../codec/rich-codec.js'
import type { IdempotencyProvider, IdempotencyRecord } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { KeySpace } from '../keys.js'
import { assertTimeToLive } from '../options.js'
import type { CacheRepository } from '../repositories/cache-repository.js'

/** Outcomes of operations, kept as rows of `go_goscope_cache` that the cache provider does not see. */
export class Idempotency implements IdempotencyProvider {
  readonly #repository: CacheRepository
  readonly #operations: Operations
  readonly #keys: KeySpace

  constructor(repository: CacheRepository, operations: Operations, keyPrefix: string) {
    this.#repository = repository
    this.#operations = operations
    this.#keys = new KeySpace(keyPrefix, 'idempotency')
  }

  /**
   * The stored outcome, or `null` when there is none or it has expired. Errors, `undefined`, Date, BigInt, Map and
   * Set come back as they were stored.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async get<T>(key: string): Promise<IdempotencyRecord<T> | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#operations.run('get', () => this.#repository.find(storedKey))
    if (row === undefined) return null
    const value = richCodec.decode(row.value) as T
    return row.expiresAt === null ? { value } : { value, expiresAt: row.expiresAt }
  }

  /**
   * Stores an outcome, replacing an earlier one.
   *
   * @param ttl - Milliseconds until it expires; without one it stays until it is deleted.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError}
   */
  async set<T>(key: string, value: T, ttl?: number): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    if (ttl !== undefined) assertTimeToLive(ttl)
    const text = richCodec.encode(value)
    await this.#operations.run('set', () => this.#repository.put(storedKey, text, ttl))
  }

  /**
   * Forgets an outcome. Harmless when there is none.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async delete(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    await this.#operations.run('delete', () => this.#repository.remove(storedKey))
  }
}
