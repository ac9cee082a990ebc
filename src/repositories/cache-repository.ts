import { and, asc, eq, gt, isNull, or, type SQL, sql } from 'drizzle-orm'
import { after, now, toMilliseconds } from '../database/clock.js'
import { atMost, type Executor, listStatement, statement } from '../database/statement.js'
import { cache } from '../schema/index.js'

/** A stored value. */
export interface CacheRow {
  /** The encoded value. */
  readonly value: string
  /** Milliseconds since 1970, or `null` when it never expires. */
  readonly expiresAt: number | null
}

/** Which keys to visit. Both texts are LIKE patterns with `|` as the escape character. */
export interface KeyFilter {
  /** On the stored key: a literal start, so that the primary key serves it as a range. */
  readonly range: string
  /** On the stored key without the guard of a trailing space. */
  readonly pattern: string
}

const KEYS_PER_PAGE = 5_000
const KEYS_PER_DELETION = 1_000

const { key, value, expiresAt } = cache
const given = {
  key: sql.placeholder('key'),
  value: sql.placeholder('value'),
  ttl: sql.placeholder('ttl'),
  after: sql.placeholder('after'),
  range: sql.placeholder('range'),
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
const matches = (text: SQL | typeof key, pattern: unknown): SQL => sql`${text} like ${pattern} escape '|'`

/** Keyset pages: each is a short index range of its own, so neither a snapshot nor an offset is carried along. */
const liveKeys = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(gt(key, given.after), matches(key, given.range), matches(decoded, given.pattern), isLive))
    .orderBy(asc(key))
    .limit(atMost(KEYS_PER_PAGE))
    .prepare(),
)

const allKeys = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(gt(key, given.after), matches(key, given.range)))
    .orderBy(asc(key))
    .limit(atMost(KEYS_PER_DELETION))
    .prepare(),
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

  /** The keys of rows that have not expired, in ascending order. */
  async *liveKeys(filter: KeyFilter): AsyncGenerator<string, void, undefined> {
    for (let after = ''; ; ) {
      const rows = await liveKeys(this.#executor, { after, ...filter })
      for (const row of rows) yield row.key
      const last = rows.at(-1)
      if (last === undefined || rows.length < KEYS_PER_PAGE) return
      after = last.key
    }
  }

  /** Deletes all rows of the range in short statements, each of which locks only the rows it deletes. */
  async removeAll(range: string): Promise<void> {
    for (let after = ''; ; ) {
      const rows = await allKeys(this.#executor, { after, range })
      const last = rows.at(-1)
      if (last === undefined) return
      await removeAll(
        this.#executor,
        rows.map((row) => row.key),
      )
      if (rows.length < KEYS_PER_DELETION) return
      after = last.key
    }
  }
}
