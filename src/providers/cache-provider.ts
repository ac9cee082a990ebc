import { jsonCodec } from '../codec/json-codec.js'
import type { CacheProvider } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { compareCodePoints, escapeLike, globToLike, KeySpace, rangeOf } from '../keys.js'
import { assertTimeToLive } from '../options.js'
import type { CacheRepository } from '../repositories/cache-repository.js'

/** Cached JSON values over the rows of `go_goscope_cache`. */
export class Cache implements CacheProvider {
  readonly #repository: CacheRepository
  readonly #operations: Operations
  readonly #keys: KeySpace

  constructor(repository: CacheRepository, operations: Operations, keyPrefix: string) {
    this.#repository = repository
    this.#operations = operations
    this.#keys = new KeySpace(keyPrefix, 'cache')
  }

  /**
   * The value, or `null` when there is none or it has expired. A stored `null` reads as `null` too; `has` tells.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async get<T>(key: string): Promise<T | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#operations.run('get', () => this.#repository.find(storedKey))
    return row === undefined ? null : (jsonCodec.decode(row.value) as T)
  }

  /**
   * Stores a value: anything JSON can hold, up to the server's max_allowed_packet.
   *
   * @param ttl - Milliseconds until it expires; without one it stays until it is deleted.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError}
   */
  async set<T>(key: string, value: T, ttl?: number): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    if (ttl !== undefined) assertTimeToLive(ttl)
    const text = jsonCodec.encode(value)
    await this.#operations.run('set', () => this.#repository.put(storedKey, text, ttl))
  }

  /**
   * Removes a value. Harmless when there is none.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async delete(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    await this.#operations.run('delete', () => this.#repository.remove(storedKey))
  }

  /**
   * Whether a value, `null` included, is stored and has not expired.
   *
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async has(key: string): Promise<boolean> {
    const storedKey = this.#keys.toStored(key)
    return this.#operations.run('has', () => this.#repository.exists(storedKey))
  }

  /**
   * Removes all values of this prefix and no others, in many short statements. Values set meanwhile may stay.
   *
   * @throws {@link ContentionError} | {@link UnavailableError}
   */
  async clear(): Promise<void> {
    const range = rangeOf(this.#keys.start)
    await this.#operations.run('clear', () => this.#repository.removeAll(range))
  }

  /**
   * The keys of all values that have not expired, in ascending order (by code point).
   *
   * @param pattern - `*` stands for any run of characters and `?` for one; a backslash before `*`, `?` or `\`
   *   makes that character literal. Everything else stands for itself. The literal start narrows the search.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   * @example
   * ```ts
   * await state.cache.keys('user:*')
   * ```
   */
  async keys(pattern = '*'): Promise<string[]> {
    const { start } = this.#keys
    const like = globToLike(pattern)
    const filter = { ...rangeOf(start + like.start), pattern: escapeLike(start) + like.pattern }
    return this.#operations.run('keys', async () => {
      const keys: string[] = []
      for await (const stored of this.#repository.liveKeys(filter)) keys.push(this.#keys.fromStored(stored))
      // The database counts shorter keys as padded with spaces, which puts 'a\t' before 'a'.
      return keys.sort(compareCodePoints)
    })
  }
}
