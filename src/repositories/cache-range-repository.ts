import { and, asc, count, gt, lte, sql } from 'drizzle-orm'
import { now } from '../database/clock.js'
import { atMost, type Executor, listStatement, statement } from '../database/statement.js'
import type { KeyRange } from '../keys.js'
import { cache } from '../schema/index.js'
import { isLive } from './cache-expiry.js'
import { type Page, pageOf } from './page.js'

/** Which keys to visit. */
export interface KeyFilter extends KeyRange {
  /** A LIKE pattern, with `|` as the escape character, on the stored key without the guard of a trailing space. */
  readonly pattern: string
}

const KEYS_PER_PAGE = 5_000
const KEYS_PER_DELETION = 1_000
const ROWS_PER_PAGE = 100

const { key, value, expiresAt } = cache
const given = {
  from: sql.placeholder('from'),
  to: sql.placeholder('to'),
  pattern: sql.placeholder('pattern'),
}

// The reverse of `encodeText` in keys.ts.
const decoded = sql`if(right(${key}, 1) = '␠', left(${key}, char_length(${key}) - 1), ${key})`
const isInRange = and(gt(key, given.from), lte(key, given.to))
const fits = sql`${decoded} like ${given.pattern} escape '|'`

/** Keyset pages: each is a short index range of its own, so neither a snapshot nor an offset is carried along. */
const liveKeys = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(isInRange, fits, isLive))
    .orderBy(asc(key))
    .limit(atMost(KEYS_PER_PAGE))
    .prepare(),
)

const liveRows = statement((database) =>
  database
    .select({ key, value })
    .from(cache)
    .where(and(isInRange, fits, isLive))
    .orderBy(asc(key))
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

const size = statement((database) =>
  database.select({ size: count() }).from(cache).where(and(isInRange, isLive)).prepare(),
)

/** By the index on the expiry, for which the time must be a constant; deleting compares with the moving clock. */
const expiredKeys = statement((database) =>
  database
    .select({ key })
    .from(cache)
    .where(and(sql`${expiresAt} <= utc_timestamp(3)`, isInRange))
    .limit(atMost(KEYS_PER_DELETION))
    .prepare(),
)
const removeExpired = listStatement(
  (keys) => sql`delete from ${cache} where ${key} in ${keys} and ${expiresAt} <= ${now}`,
)

const allKeys = statement((database) =>
  database.select({ key }).from(cache).where(isInRange).orderBy(asc(key)).limit(atMost(KEYS_PER_DELETION)).prepare(),
)

const removeKeys = listStatement((keys) => sql`delete from ${cache} where ${key} in ${keys}`)

/** Ranges of the rows of `go_goscope_cache`. Keys come in their stored form. */
export class CacheRangeRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** The keys of rows that have not expired, in the order of the primary key. */
  async liveKeys(filter: KeyFilter, from = filter.from): Promise<Page<{ key: string }, string>> {
    const rows = await liveKeys(this.#executor, { ...filter, from })
    return pageOf(rows, KEYS_PER_PAGE, ({ key }) => key)
  }

  /** The rows that have not expired, in the order of the primary key. */
  async liveRows(filter: KeyFilter, from = filter.from): Promise<Page<{ key: string; value: string }, string>> {
    const rows = await liveRows(this.#executor, { ...filter, from })
    return pageOf(rows, ROWS_PER_PAGE, ({ key }) => key)
  }

  /** The number of rows in the range that have not expired. */
  async size(range: KeyRange): Promise<number> {
    const [row] = await size(this.#executor, { ...range })
    return row?.size ?? 0
  }

  /** Deletes expired rows of the range in short statements. Returns their number. */
  async removeExpired(range: KeyRange): Promise<number> {
    for (let removed = 0; ; ) {
      const keys = (await expiredKeys(this.#executor, { ...range })).map((row) => row.key)
      if (keys.length === 0) return removed
      const { affectedRows } = await removeExpired(this.#executor, keys)
      removed += affectedRows
      if (keys.length < KEYS_PER_DELETION || affectedRows === 0) return removed
    }
  }

  /** Deletes all rows of the range in short statements, each of which locks only the rows it deletes. */
  async removeAll({ from, to }: KeyRange): Promise<void> {
    for (let next = from; ; ) {
      const rows = await allKeys(this.#executor, { from: next, to })
      const last = rows.at(-1)
      if (last === undefined) return
      await removeKeys(
        this.#executor,
        rows.map((row) => row.key),
      )
      if (rows.length < KEYS_PER_DELETION) return
      next = last.key
    }
  }
}
