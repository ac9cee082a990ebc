import { and, asc, between, eq, gt, isNull, or, type SQL, sql } from 'drizzle-orm'
import { after, now, toMilliseconds } from '../database/clock.js'
import { type Executor, listStatement, statement } from '../database/statement.js'
import type { KeyRange } from '../keys.js'
import { cache } from '../schema/index.js'

/** A stored value. */
export interface CacheRow {
  /** The encoded value. */
  readonly value: string
  /** Milliseconds since 1970, or `null` when it never expires. */
  readonly expiresAt: number | null
}

/** Which keys to visit. */
export interface KeyFilter extends KeyRange {
  /** A LIKE pattern, with `|` as the escape character, on the stored key without the guard of a trailing space. */
  readonly pattern: string
}

const KEYS_PER_PAGE = 5_000
const KEYS_PER_DELETION = 1_000

const { key, value, expiresAt } = cache
const given = {
  key: sql.placeholder('key'),
  value: sql.placeholder('value'),
  ttl: sql.placeholder('ttl'),
  from: sql.placeholder('from'),
  to: sql.placeholder('to'),
  pattern: sql.placeholder('pattern'),
}
const isLive = or(isNull(expiresAt), gt(expiresAt, now))
const incoming = (column: SQL | typeof value | typeof expiresAt): SQL => sql`values(${column})`

const find = statement((database) =>
  database
    .select({ value, expiresAt: toMilliseconds(expiresAt) })
    .from(cache)
    .where(and(eq(key, given.key), isLive))
    .prepare(),
)

const exists = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(eq(key, given.key), isLive))
    .prepare(),
)

/** One upsert by primary key: cannot deadlock, and sends the value once. A NULL ttl gives a NULL expiry. */
const put = statement((database) =>
  database
    .insert(cache)
    .values({ key: given.key, value: given.value, expiresAt: after(given.ttl) })
    .onDuplicateKeyUpdate({ set: { value: incoming(value), expiresAt: incoming(expiresAt), staleAt: sql`null` } })
    .prepare(),
)

const remove = statement((database) => database.delete(cache).where(eq(key, given.key)).prepare())

const removeAll = listStatement((keys) => sql`delete from ${cache} where ${key} in ${keys}`)

// The reverse of `encodeText` in keys.ts.
const decoded = sql`if(right(${key}, 1) = '␠', left(${key}, char_length(${key}) - 1), ${key})`
const isInRange = between(key, given.from, given.to)

/** Keyset pages: each is a short index range of its own, so neither a snapshot nor an offset is carried along. */
const liveKeys = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(isInRange, sql`${decoded} like ${given.pattern} escape '|'`, isLive))
    .orderBy(asc(key))
    .limit(KEYS_PER_PAGE)
    .prepare(),
)

const allKeys = statement((database) =>
  database.select({ key }).from(cache).where(isInRange).orderBy(asc(key)).limit(KEYS_PER_DELETION).prepare(),
)

/** The rows of `go_goscope_cache`. Keys come in their stored form; durations are milliseconds. */
export class CacheRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** The row unless it has expired. */
  async find(key: string): Promise<CacheRow | undefined> {
    const [row] = await find(this.#executor, { key })
    return row
  }

  /** Whether there is a row that has not expired. */
  async exists(key: string): Promise<boolean> {
    const rows = await exists(this.#executor, { key })
    return rows.length > 0
  }

  /** Inserts or overwrites the row. Without a `ttl` it never expires. */
  async put(key: string, value: string, ttl: number | undefined): Promise<void> {
    await put(this.#executor, { key, value, ttl: ttl ?? null })
  }

  /** Deletes the row. */
  async remove(key: string): Promise<void> {
    await remove(this.#executor, { key })
  }

  /** The keys of rows that have not expired, in the order of the primary key. */
  async *liveKeys({ from, to, pattern }: KeyFilter): AsyncGenerator<string, void, undefined> {
    for (let next = from, seen: string | undefined; ; ) {
      const rows = await liveKeys(this.#executor, { from: next, to, pattern })
      // A page begins where the one before ended.
      for (const row of rows) if (row.key !== seen) yield row.key
      const last = rows.at(-1)
      if (last === undefined || rows.length < KEYS_PER_PAGE) return
      seen = next = last.key
    }
  }

  /** Deletes all rows of the range in short statements, each of which locks only the rows it deletes. */
  async removeAll({ from, to }: KeyRange): Promise<void> {
    for (let next = from; ; ) {
      const rows = await allKeys(this.#executor, { from: next, to })
      const last = rows.at(-1)
      if (last === undefined) return
      await removeAll(
        this.#executor,
        rows.map((row) => row.key),
      )
      if (rows.length < KEYS_PER_DELETION) return
      next = last.key
    }
  }
}
