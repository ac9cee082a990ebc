import { is, SQL, StringChunk, sql } from 'drizzle-orm'

/** The two kinds of server. */
export type Family = 'mysql' | 'mariadb'

/** A statement in the words of each kind of server. */
export type Dialects = Readonly<Record<Family, SQL>>

/**
 * A write that runs in UTC whatever the session's zone, so that a change to or from daylight saving while it waits for a
 * row cannot shift its clock by an hour. A plain read waits for nobody, and need not pay for that.
 */
export function inUTC(write: SQL): Dialects {
  const [verb, ...others] = write.queryChunks
  if (!is(verb, StringChunk)) throw new TypeError('expected a statement that begins with its verb')
  const hinted = verb.value.join('').replace(/\w+/, "$& /*+ set_var(time_zone = '+00:00') */")
  return {
    mariadb: sql`set statement time_zone = '+00:00' for ${write}`,
    mysql: new SQL([new StringChunk(hinted), ...others]),
  }
}

/**
 * A write of one row that decides by the time and waits for nobody: where another transaction holds the row, it
 * fails at once.
 *
 * It runs in UTC as every write does, and says so itself: MariaDB knows one SET STATEMENT for each statement.
 *
 * MariaDB can forbid waiting for a single statement (error 1205). MySQL can only where a SELECT takes the lock
 * (NOWAIT, error 3572), so there the write goes through a derived table that does.
 */
export const decision = {
  /** An upsert; `source` is the list of values, and the row's key is `value`. */
  upsert(table: unknown, columns: SQL, source: SQL, key: unknown, value: unknown, onDuplicate: SQL): Dialects {
    const into = sql`into ${table} (${columns})`
    return {
      mariadb: sql`${withoutWaiting} insert ${into} values (${source}) on duplicate key update ${onDuplicate}`,
      mysql: sql`insert ${utcHint} ${into} select ${source}
        from (select count(*) from ${table} where ${key} = ${value} for update nowait) as row_lock
        on duplicate key update ${onDuplicate}`,
    }
  },

  /** An upsert that happens only while a row of another table fits `condition`, and keeps that row locked meanwhile. */
  insertWhile(...upsert: Parameters<typeof writeWhile>): Dialects {
    const write = writeWhile(...upsert)
    return {
      mariadb: sql`${withoutWaiting} insert ${write(sql`for update`)}`,
      mysql: sql`insert ${utcHint} ${write(sql`for update nowait`)}`,
    }
  },

  /**
   * The same inside a caller's transaction, which nobody could repeat: it waits for whoever holds the other table's row,
   * a renewal most likely.
   */
  insertWhileWaiting(...upsert: Parameters<typeof writeWhile>): Dialects {
    const write = writeWhile(...upsert)(sql`for update`)
    return {
      mariadb: sql`${ofLatestVersions} insert ${write}`,
      mysql: sql`insert ${utcHint} ${write}`,
    }
  },

  /** An update of the one row that fits `condition` and then `check`, which is evaluated under the row's lock. */
  update(table: unknown, key: unknown, condition: SQL, assignments: SQL, check: SQL): Dialects {
    return {
      mariadb: sql`${withoutWaiting} update ${table} set ${assignments} where ${condition} and ${check}`,
      mysql: sql`update ${utcHint} (select ${key} as held_key from ${table} where ${condition} limit 1 for update nowait) as held
        straight_join ${table} on ${key} = held_key set ${assignments} where ${check}`,
    }
  },

  /** A deletion of the rows that fit, but for those that other transactions hold; MariaDB fails if there are any. */
  remove(table: unknown, key: unknown, condition: SQL): Dialects {
    return {
      mariadb: sql`${withoutWaiting} delete from ${table} where ${condition}`,
      // Without a limit the server would merge the derived table into the deletion, and wait.
      mysql: sql`delete ${utcHint} ${table} from (
          select ${key} as old_key from ${table} where ${condition} limit 1000 for update skip locked
        ) as old straight_join ${table} on ${key} = old_key`,
    }
  },
}

/** A read inside a caller's transaction that locks the rows it finds, and waits for whoever holds them. */
export function lockingRead(selection: SQL): Dialects {
  return {
    mariadb: sql`${ofLatestVersions} select ${selection} for update`,
    mysql: sql`select ${utcHint} ${selection} for update`,
  }
}

function writeWhile(table: unknown, columns: SQL, source: SQL, other: unknown, condition: SQL, onDuplicate: SQL) {
  return (locking: SQL): SQL => sql`into ${table} (${columns}) select ${source} from ${other} where ${condition}
    ${locking} on duplicate key update ${onDuplicate}`
}

const withoutWaiting = sql`set statement time_zone = '+00:00', innodb_lock_wait_timeout = 0 for`
// Newer MariaDB servers would roll a transaction back (1020) when a row it locks, which somebody renewed most likely,
// has changed since the transaction's first read.
const ofLatestVersions = sql`set statement time_zone = '+00:00' /*M!110402 , innodb_snapshot_isolation = 0 */ for`
const utcHint = sql`/*+ set_var(time_zone = '+00:00') */`
