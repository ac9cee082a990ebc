import { sql } from 'drizzle-orm'
import { customType, datetime, decimal, double, varchar } from 'drizzle-orm/mysql-core'
import { MAXIMUM_KEY_LENGTH, MAXIMUM_OWNER_LENGTH } from '../keys.js'

// What a builder returns depends on the call, and is best left to inference.

/** A stored key, id or task id; see `keys.ts` for its encoding. Compared byte for byte (utf8mb4_bin). */
export const keyColumn = (name: string) => varchar(name, { length: MAXIMUM_KEY_LENGTH })

/** Who holds something. */
export const ownerColumn = (name: string) => varchar(name, { length: MAXIMUM_OWNER_LENGTH })

/**
 * A moment in UTC, to the millisecond. Written and compared by the database's clock only;
 * read as a number of milliseconds (see `database/clock.ts`), because drivers and session zones shift DATETIMEs.
 */
export const instantColumn = (name: string) => datetime(name, { fsp: 3, mode: 'string' })

/**
 * A whole number. DECIMAL because drizzle-kit reads the integer types back differently on MariaDB
 * and would rewrite the table on every push.
 */
export const countColumn = (name: string) => decimal(name, { precision: 20, scale: 0, mode: 'number' })

/** Any finite JavaScript number, exactly. */
export const numberColumn = (name: string) => double(name)

/**
 * JSON as text: returns exactly the document that was stored, on every server.
 * The native type reorders keys, drops duplicates and -0, and differs between servers.
 */
export const jsonColumn = customType<{ data: string; driverData: string }>({ dataType: () => 'longtext' })

/** The default of nullable columns: the one spelling that drizzle-kit reads back unchanged from every server. */
export const absent = sql`(NULL)`
