import { and, eq, type SQL, sql } from 'drizzle-orm'
import { after, now, toMilliseconds } from '../database/clock.js'
import { decision } from '../database/dialect.js'
import {
  command,
  type Executor,
  listQuery,
  listStatement,
  query,
  type Statement,
  statement,
} from '../database/statement.js'
import { cache, locks } from '../schema/index.js'
import { isLive } from './cache-expiry.js'
import { isHeldBy, type Tenure } from './lock-repository.js'

/** A stored value. */
export interface CacheRow {
  /** The encoded value. */
  readonly value: string
  /** Milliseconds since 1970, or `null` when it never expires. */
  readonly expiresAt: number | null
}

/** What there is under a key, and who is at work on it. */
export interface ClaimedRow {
  /** The value unless it has expired. */
  readonly value: string | null
  /** Whether it should be refreshed. */
  readonly isStale: boolean
  /** The token of the lock's present or latest tenure; 0 when there was none. */
  readonly fence: number
  /** Milliseconds for which the lock is still held; 0 when it is free. */
  readonly heldFor: number
  /** Whether the lock expired without being released: its holder crashed, or is at work all the same. */
  readonly isAbandoned: boolean
}

/** A row to be stored. */
export interface NewCacheRow {
  readonly key: string
  readonly value: string
  /** Milliseconds until it expires; `null` for never. */
  readonly ttl: number | null
}

/** How many rows one statement reads or deletes by a list of keys, and writes at most. */
export const ROWS_PER_STATEMENT = 128

const { key, value, expiresAt, staleAt } = cache
const given = {
  key: sql.placeholder('key'),
  value: sql.placeholder('value'),
  ttl: sql.placeholder('ttl'),
  staleAfter: sql.placeholder('staleAfter'),
  lockKey: sql.placeholder('lockKey'),
}
const incoming = (column: typeof value | typeof expiresAt): SQL => sql`values(${column})`

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

const overwrite = { value: incoming(value), expiresAt: incoming(expiresAt), staleAt: incoming(staleAt) }

/** One upsert by primary key: cannot deadlock, and sends the value once. A NULL duration gives a NULL instant. */
const put = statement((database) =>
  database
    .insert(cache)
    .values({ key: given.key, value: given.value, expiresAt: after(given.ttl), staleAt: after(given.staleAfter) })
    .onDuplicateKeyUpdate({ set: overwrite })
    .prepare(),
)

/** Several rows at once; the caller sorts them by key, so that no two statements lock them in different orders. */
const putSeveral = (size: number) =>
  statement((database) =>
    database
      .insert(cache)
      .values(
        Array.from({ length: size }, (_, index) => ({
          key: sql.placeholder(`key${index}`),
          value: sql.placeholder(`value${index}`),
          expiresAt: after(sql.placeholder(`ttl${index}`)),
        })),
      )
      .onDuplicateKeyUpdate({ set: { ...overwrite, staleAt: sql`null` } })
      .prepare(),
  )

// Powers of two, of which every number of rows is a sum of a few.
const putSizes: [number, Statement<unknown>][] = []
for (let size = ROWS_PER_STATEMENT; size >= 1; size /= 2) putSizes.push([size, putSeveral(size)])

/** The first assignment decides; LAST_INSERT_ID() carries the verdict to the others and, as `insertId`, to the caller. */
const KEPT = 2
const putIfAbsent = command(sql`
insert into ${cache} (\`key\`, value, expires_at) values (${given.key}, ${given.value}, ${after(given.ttl)})
on duplicate key update
  expires_at = if(${isLive}, if(last_insert_id(2) = 2, ${expiresAt}, null), if(last_insert_id(1) = 1, values(expires_at), null)),
  value = if(last_insert_id() = 1, values(value), ${value}),
  stale_at = if(last_insert_id() = 1, null, ${staleAt})`)

const touch = command(sql`
update ${cache} set expires_at = if(last_insert_id(1) = 1, ${after(given.ttl)}, null), stale_at = null
where ${and(eq(key, given.key), isLive)}`)

/** Only while a lock is held, whose row stays locked until the statement ends. Reports 1 when it is, and 0 otherwise. */
const putUnderLock = command(
  decision.insertWhile(
    cache,
    sql`\`key\`, value, expires_at, stale_at`,
    sql`${sql.placeholder('storedKey')}, ${given.value}, ${after(given.ttl)},
      if(last_insert_id(1) = 1, ${after(given.staleAfter)}, null)`,
    locks,
    isHeldBy,
    sql`value = values(value), expires_at = values(expires_at), stale_at = values(stale_at)`,
  ),
)

const findMany = listQuery<{ key: string; value: string }>(
  (keys) => sql`select ${key}, ${value} from ${cache} where ${key} in ${keys} and ${isLive}`,
)

/** Both rows by primary key, from one row that is always there. */
const findClaimed = query<{
  value: string | null
  isStale: number | null
  fence: string | null
  heldFor: string | null
}>(sql`
select ${value} as value, ${staleAt} <= ${now} as isStale, ${locks.fence} as fence,
  if(${locks.owner} is null, null, timestampdiff(microsecond, ${now}, ${locks.expiresAt}) / 1000) as heldFor
from (select 1) as one
left join ${cache} on ${and(eq(key, given.key), isLive)}
left join ${locks} on ${eq(locks.key, given.lockKey)}`)

const remove = statement((database) => database.delete(cache).where(eq(key, given.key)).prepare())

const removeAll = listStatement((keys) => sql`delete from ${cache} where ${key} in ${keys}`)

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

  /** The rows of these keys that have not expired, at most 1,000, in any order. */
  async findMany(keys: readonly string[]): Promise<{ key: string; value: string }[]> {
    return findMany(this.#executor, keys)
  }

  /** The row, and who holds the lock under which it is made. */
  async findClaimed(key: string, lockKey: string): Promise<ClaimedRow> {
    const [row] = await findClaimed(this.#executor, { key, lockKey })
    return {
      value: row?.value ?? null,
      isStale: row?.isStale === 1,
      fence: Number(row?.fence ?? 0),
      heldFor: Math.max(0, Number(row?.heldFor ?? 0)),
      isAbandoned: row?.heldFor != null && Number(row.heldFor) <= 0,
    }
  }

  /**
   * Inserts or overwrites the row.
   *
   * @param row - Without a `ttl` it never expires.
   * @param staleAfter - Milliseconds after which it should be refreshed; `null` for never.
   * @param executor - That of the caller's transaction, if there is one.
   */
  async put(
    { key, value, ttl }: NewCacheRow,
    staleAfter: number | null = null,
    executor = this.#executor,
  ): Promise<void> {
    await put(executor, { key, value, ttl, staleAfter })
  }

  /** Inserts or overwrites rows, sorted by key and at most 128. Each one is atomic on its own. */
  async putMany(rows: readonly NewCacheRow[]): Promise<void> {
    let start = 0
    for (const [size, putRows] of putSizes) {
      while (rows.length - start >= size) {
        const values: Record<string, unknown> = {}
        for (const [index, row] of rows.slice(start, start + size).entries()) {
          values[`key${index}`] = row.key
          values[`value${index}`] = row.value
          values[`ttl${index}`] = row.ttl
        }
        await putRows(this.#executor, values)
        start += size
      }
    }
  }

  /** Inserts the row unless there is one that has not expired. Returns whether it did. */
  async putIfAbsent({ key, value, ttl }: NewCacheRow): Promise<boolean> {
    const { insertId } = await putIfAbsent(this.#executor, { key, value, ttl })
    return insertId !== KEPT
  }

  /** Like {@link put}, but only while the lock is held. Returns whether it did. */
  async putUnderLock(
    { key, value, ttl }: NewCacheRow,
    tenure: Tenure,
    staleAfter: number | null = null,
  ): Promise<boolean> {
    const { insertId } = await putUnderLock(this.#executor, {
      storedKey: key,
      value,
      ttl,
      staleAfter,
      key: tenure.key,
      owner: tenure.owner,
      heldFence: tenure.fence,
    })
    return insertId === 1
  }

  /** Lets the row expire `ttl` from now, or never when it is `null`. `false` when there is none. */
  async touch(key: string, ttl: number | null): Promise<boolean> {
    const { insertId } = await touch(this.#executor, { key, ttl })
    return insertId === 1
  }

  /** Deletes the row. */
  async remove(key: string): Promise<void> {
    await remove(this.#executor, { key })
  }

  /** Deletes the rows of these keys, at most 1,000. */
  async removeMany(keys: readonly string[]): Promise<void> {
    await removeAll(this.#executor, keys)
  }
}
