import type { Codec } from '../../codec/codec.js'
import type { CacheProvider } from '../../contracts.js'
import type { Operations } from '../../database/operations.js'
import { compareCodePoints, escapeLike, globToLike, type KeyRange, KeySpace, rangeOf } from '../../keys.js'
import { assertTimeToLive } from '../../options.js'
import type { CacheRangeRepository, KeyFilter } from '../../repositories/cache-range-repository.js'
import { type CacheRepository, type NewCacheRow, ROWS_PER_STATEMENT } from '../../repositories/cache-repository.js'
import type { ClaimContext } from '../claim.js'
import { readPages } from '../paging.js'
import { CacheLoader, type Factory, type GetOrSetOptions } from './cache-loader.js'

/** What a cache did and holds. */
export interface CacheStats {
  /** Values this object found since it was created. */
  readonly hits: number
  /** Values this object missed since it was created. */
  readonly misses: number
  /** The share of hits, from 0 to 1; 0 before the first read. */
  readonly hitRatio: number
  /** Values of this prefix that have not expired. */
  readonly size: number
}

/** What a cache works with. */
export interface CacheContext extends ClaimContext {
  readonly ranges: CacheRangeRepository
}

// What one statement carries at most, so that others get their turn.
const CHARACTERS_PER_STATEMENT = 1_000_000
const KEYS_PER_STATEMENT = 250

/** Cached JSON values over the rows of `go_goscope_cache`. */
export class Cache implements CacheProvider {
  readonly #repository: CacheRepository
  readonly #ranges: CacheRangeRepository
  readonly #operations: Operations
  readonly #keys: KeySpace
  readonly #codec: Codec
  readonly #loader: CacheLoader
  #hits = 0
  #misses = 0

  /** @internal */
  constructor(context: CacheContext, keyPrefix: string, codec: Codec) {
    this.#repository = context.repository
    this.#ranges = context.ranges
    this.#operations = context.operations
    this.#keys = new KeySpace(keyPrefix, 'cache')
    this.#codec = codec
    this.#loader = new CacheLoader(context, codec)
  }

  /**
   * The value, or `null` when there is none or it has expired. A stored `null` reads as `null` too; `has` tells.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async get<T>(key: string): Promise<T | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#operations.run('get', () => this.#repository.find(storedKey))
    this.#count(row !== undefined)
    return row === undefined ? null : (this.#codec.decode(row.value) as T)
  }

  /**
   * The values of several keys, in few statements.
   *
   * @returns A map from key to value, without the keys that have none.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async getMany<T>(keys: Iterable<string>): Promise<Map<string, T>> {
    const wanted = new Map<string, string>()
    for (const key of keys) wanted.set(this.#keys.toStored(key), key)
    const found = new Map<string, T>()
    for (const part of partsOf([...wanted.keys()], KEYS_PER_STATEMENT)) {
      const rows = await this.#operations.run('getMany', () => this.#repository.findMany(part))
      for (const row of rows) found.set(this.#keys.fromStored(row.key), this.#codec.decode(row.value) as T)
    }
    for (const key of wanted.values()) this.#count(found.has(key))
    return found
  }

  /**
   * The value; when there is none, `factory` makes it and it is stored. Across all processes one caller makes it,
   * and the others wait for it; if that process crashes, another takes over when its claim expires.
   *
   * With `stale`, an old value is served at once while one caller refreshes it. A factory's error reaches all callers
   * of this process that wait for it, and is not stored.
   *
   * @returns A copy of the value for each caller, as it is read back from the cache.
   * @throws {@link ContentionError} when another process was making the value for all of `wait`.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}, the factory's error,
   *   and the signal's reason.
   * @example
   * ```ts
   * const rates = await state.cache.getOrSet('rates', () => fetchRates(), { ttl: 60_000, stale: 600_000 })
   * ```
   */
  async getOrSet<T>(key: string, factory: Factory<T>, options: GetOrSetOptions = {}): Promise<T> {
    const { text, isHit } = await this.#loader.load(key, this.#keys.toStored(key), factory, options)
    this.#count(isHit)
    return this.#codec.decode(text) as T
  }

  /**
   * Stores a value: anything JSON can hold, up to the server's max_allowed_packet.
   *
   * @param ttl - Milliseconds until it expires; without one it stays until it is deleted.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError}
   */
  async set<T>(key: string, value: T, ttl?: number): Promise<void> {
    const row = this.#toRow(key, value, ttl)
    await this.#operations.run('set', () => this.#repository.put(row))
  }

  /**
   * Stores several values, in few statements. Each value is stored or not on its own; of a key that comes twice, the
   * later value counts.
   *
   * @param ttl - Milliseconds until they expire; without one they stay until they are deleted.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError}
   */
  async setMany<T>(entries: Iterable<readonly [key: string, value: T]>, ttl?: number): Promise<void> {
    const rows = new Map<string, NewCacheRow>()
    for (const [key, value] of entries) {
      const row = this.#toRow(key, value, ttl)
      rows.set(row.key, row)
    }
    // All statements lock rows in the same order, so they cannot deadlock.
    const sorted = [...rows.values()].sort((one, other) => compareCodePoints(one.key, other.key))
    for (const part of partsOf(sorted, ROWS_PER_STATEMENT, CHARACTERS_PER_STATEMENT, (row) => row.value.length)) {
      await this.#operations.run('setMany', () => this.#repository.putMany(part))
    }
  }

  /**
   * Stores a value only if there is none.
   *
   * @param ttl - Milliseconds until it expires; without one it stays until it is deleted.
   * @returns `false` when there is a value already, which is kept.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError} Only when the connection broke under the statement may the value have been stored.
   */
  async add<T>(key: string, value: T, ttl?: number): Promise<boolean> {
    const row = this.#toRow(key, value, ttl)
    return this.#operations.run('add', () => this.#repository.putIfAbsent(row), { repeatable: false })
  }

  /**
   * Gives a value a new time to live.
   *
   * @param ttl - Milliseconds from now until it expires; without one it stays until it is deleted.
   * @returns `false` when there is no value, or it has expired.
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async touch(key: string, ttl?: number): Promise<boolean> {
    const storedKey = this.#keys.toStored(key)
    if (ttl !== undefined) assertTimeToLive(ttl)
    return this.#operations.run('touch', () => this.#repository.touch(storedKey, ttl ?? null))
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
   * Removes several values, in few statements.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async deleteMany(keys: Iterable<string>): Promise<void> {
    const stored = [...new Set(Array.from(keys, (key) => this.#keys.toStored(key)))].sort()
    for (const part of partsOf(stored, KEYS_PER_STATEMENT)) {
      await this.#operations.run('deleteMany', () => this.#repository.removeMany(part))
    }
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
    await this.#operations.run('clear', () => this.#ranges.removeAll(this.#range()))
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
    const keys: string[] = []
    for await (const key of this.#readKeys('keys', pattern)) keys.push(key)
    // The database counts shorter keys as padded with spaces, which puts 'a\t' before 'a'.
    return keys.sort(compareCodePoints)
  }

  /**
   * The keys of all values that have not expired, read in pages: for more than fit into memory. They come in the order of
   * the table, which is that of code points but counts a shorter key as padded with spaces.
   * Holds neither a snapshot nor a connection: keys set meanwhile may or may not appear.
   *
   * @param pattern - As for {@link keys}.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  scan(pattern = '*'): AsyncGenerator<string, void, undefined> {
    return this.#readKeys('scan', pattern)
  }

  /**
   * All values that have not expired with their keys, read in pages and in the order of {@link scan}.
   *
   * @param pattern - As for {@link keys}.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   * @example
   * ```ts
   * for await (const [key, value] of state.cache.entries<User>('user:*')) console.log(key, value.name)
   * ```
   */
  async *entries<T>(pattern = '*'): AsyncGenerator<[key: string, value: T], void, undefined> {
    const filter = this.#filter(pattern)
    const read = (after?: string) => this.#ranges.liveRows(filter, after)
    for await (const row of readPages(this.#operations, 'entries', read)) {
      yield [this.#keys.fromStored(row.key), this.#codec.decode(row.value) as T]
    }
  }

  /**
   * Deletes the expired values of this prefix, in short statements. Expired values are invisible without it; they
   * only take up space.
   *
   * @returns How many were deleted.
   * @throws {@link ContentionError} | {@link UnavailableError}
   */
  async prune(): Promise<number> {
    return this.#operations.run('prune', () => this.#ranges.removeExpired(this.#range()))
  }

  /**
   * What this object did, and how many values the prefix holds.
   *
   * @throws {@link UnavailableError}
   */
  async stats(): Promise<CacheStats> {
    const size = await this.#operations.run('stats', () => this.#ranges.size(this.#range()))
    const reads = this.#hits + this.#misses
    return { hits: this.#hits, misses: this.#misses, hitRatio: reads === 0 ? 0 : this.#hits / reads, size }
  }

  async *#readKeys(operation: string, pattern: string): AsyncGenerator<string, void, undefined> {
    const filter = this.#filter(pattern)
    const read = (after?: string) => this.#ranges.liveKeys(filter, after)
    for await (const row of readPages(this.#operations, operation, read)) yield this.#keys.fromStored(row.key)
  }

  #count(isHit: boolean): void {
    if (isHit) this.#hits++
    else this.#misses++
  }

  #range(): KeyRange {
    return rangeOf(this.#keys.start)
  }

  #filter(pattern: string): KeyFilter {
    const { start } = this.#keys
    const like = globToLike(pattern)
    return { ...rangeOf(start + like.start), pattern: escapeLike(start) + like.pattern }
  }

  #toRow(key: string, value: unknown, ttl: number | undefined): NewCacheRow {
    const storedKey = this.#keys.toStored(key)
    if (ttl !== undefined) assertTimeToLive(ttl)
    return { key: storedKey, value: this.#codec.encode(value), ttl: ttl ?? null }
  }
}

/** Cuts a list into parts of at most `length` items, and of about `weight` at most. */
function* partsOf<T>(items: readonly T[], length: number, weight = Number.POSITIVE_INFINITY, weigh = (_: T) => 0) {
  let part: T[] = []
  let total = 0
  for (const item of items) {
    const added = weigh(item)
    if (part.length > 0 && (part.length === length || total + added > weight)) {
      yield part
      part = []
      total = 0
    }
    part.push(item)
    total += added
  }
  if (part.length > 0) yield part
}
