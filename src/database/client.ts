import type { FieldPacket, Pool, PoolConnection, QueryOptions, ResultSetHeader, RowDataPacket } from 'mysql2'
import { InvalidArgumentError, SerializationError } from '../errors.js'
import type { Family } from './dialect.js'

/** A server-side prepared statement. Drizzle adds `rowsAsArray` where it maps the columns itself. */
export interface PreparedText {
  readonly sql: string
  readonly rowsAsArray?: boolean
}

/** What the driver answers: rows or the header of a write, and the description of the columns. */
export type Answer = [result: RowDataPacket[] | ResultSetHeader, columns: FieldPacket[]]

/**
 * The part of a mysql2 client that Drizzle uses. It sends every statement as a server-side prepared statement:
 * in the text protocol a string parameter is an injection under NO_BACKSLASH_ESCAPES or a latin1 connection.
 */
export interface StatementClient {
  /** Sends a statement. */
  query(statement: PreparedText, parameters?: readonly unknown[]): Promise<Answer>

  /** Sends a statement that depends on the kind of server the connection reached. */
  queryIn(statements: (family: Family) => BoundStatement): Promise<Answer>
}

/** A prepared statement with the values of its parameters. */
export interface BoundStatement extends PreparedText {
  readonly parameters: readonly unknown[]
}

/** No connection could be had, so the statement was not sent. */
export class NotSent extends Error {
  override readonly name: string = 'NotSent'
}

/** The time for getting a connection ran out, so the statement was not sent. */
export class NotSentInTime extends NotSent {
  override readonly name = 'NotSentInTime'
}

/** The statement was sent and the time for its answer ran out. */
export class NotAnswered extends Error {
  override readonly name = 'NotAnswered'
}

/** Runs each statement on a connection of its own from the pool. */
export class PoolClient implements StatementClient {
  readonly #pool: Pool
  readonly #timeout: number

  /** @param timeout - Milliseconds to wait for a connection, and again for the answer. */
  constructor(pool: Pool, timeout: number) {
    this.#pool = pool
    this.#timeout = timeout
  }

  query({ sql, rowsAsArray = false }: PreparedText, parameters: readonly unknown[] = []): Promise<Answer> {
    return this.queryIn(() => ({ sql, rowsAsArray, parameters }))
  }

  async queryIn(statements: (family: Family) => BoundStatement): Promise<Answer> {
    const connection = await lease(this.#pool, this.#timeout)
    try {
      return await execute(connection, statements, this.#timeout, true)
    } finally {
      connection.release()
    }
  }

  /**
   * Runs `work` in a transaction: commits when it returns, rolls back when it throws. Repeats nothing.
   *
   * @throws what `work` throws, or the failure of the commit; a rollback that fails as well is not worth mentioning,
   *   since the server rolls back when the connection closes.
   */
  async transact<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await lease(this.#pool, this.#timeout)
    const send = (sql: string) => answerOf(connection, this.#timeout, (done) => connection.query(sql, done))
    try {
      await send('start transaction')
      const result = await work(connection)
      await send('commit')
      return result
    } catch (error) {
      await send('rollback').catch(() => connection.destroy())
      throw error
    } finally {
      connection.release()
    }
  }

  /** Lends one connection for work that changes its session. It is closed afterwards, never pooled again. */
  async withConnection<T>(timeout: number, work: (client: ConnectionClient) => Promise<T>): Promise<T> {
    const connection = await lease(this.#pool, this.#timeout)
    try {
      return await work(new ConnectionClient(connection, timeout))
    } finally {
      connection.destroy()
    }
  }
}

/** Runs all statements on one connection, which belongs to somebody else, and leaves its transaction alone. */
export class ConnectionClient implements StatementClient {
  readonly #connection: PoolConnection
  readonly #timeout: number

  /** @param timeout - Milliseconds to wait for each answer. */
  constructor(connection: PoolConnection, timeout: number) {
    this.#connection = connection
    this.#timeout = timeout
  }

  query({ sql, rowsAsArray = false }: PreparedText, parameters: readonly unknown[] = []): Promise<Answer> {
    return this.queryIn(() => ({ sql, rowsAsArray, parameters }))
  }

  queryIn(statements: (family: Family) => BoundStatement): Promise<Answer> {
    return execute(this.#connection, statements, this.#timeout, false)
  }

  /** Whether a transaction is open, by the server's word. */
  async isInTransaction(): Promise<boolean> {
    // The driver passes on the status of statements without a result only.
    const [result] = await this.send('do 0')
    return hasOpenTransaction(result)
  }

  /** Sends a statement without parameters that cannot be prepared, such as DDL. */
  send(sql: string): Promise<Answer> {
    return answerOf(this.#connection, this.#timeout, (done) => this.#connection.query({ ...resultOptions, sql }, done))
  }
}

/** What has to be known of a connection before it is used; asked once in its life. */
interface Session {
  readonly family: Family
  readonly autocommit: boolean
  readonly maximumPacket: number
  /** Whether the session sees what other transactions may still undo. */
  readonly readsUncommitted: boolean
  /** Whether the pool was created with options that change results, and each statement must undo them. */
  readonly isStrange: boolean
}

const sessions = new WeakMap<PoolConnection, Session>()

// Whatever the pool was created with, results look the same.
const resultOptions = {
  rowsAsArray: false,
  typeCast: true,
  nestTables: false,
  dateStrings: true,
  timezone: 'Z',
  supportBigNumbers: false,
  bigNumberStrings: false,
  decimalNumbers: false,
  jsonStrings: true,
  namedPlaceholders: false,
} as const

// The flag of the protocol's status word that says a transaction is open.
const IN_TRANSACTION = 1

// Failover leaves pools with connections to a server that only reads (1290, 1792, 1836), and a reset connection
// forgets its prepared statements (1243). Closing such a connection lets the pool open a good one.
const uselessConnection = new Set([1243, 1290, 1792, 1836])

function lease(pool: Pool, timeout: number): Promise<PoolConnection> {
  return new Promise((resolve, reject) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      reject(new NotSentInTime(`the pool gave no connection within ${timeout} ms`))
    }, timeout)
    pool.getConnection((error, connection) => {
      clearTimeout(timer)
      if (late) connection?.release()
      else if (error) reject(new NotSent(`the pool gave no connection: ${error.message}`, { cause: error }))
      else resolve(connection)
    })
  })
}

async function execute(
  connection: PoolConnection,
  statements: (family: Family) => BoundStatement,
  timeout: number,
  commits: boolean,
): Promise<Answer> {
  const session = sessions.get(connection) ?? (await inspect(connection, timeout))
  const { sql, rowsAsArray = false, parameters } = statements(session.family)
  assertFits(parameters, session.maximumPacket)
  if (commits && session.readsUncommitted) {
    // Holds for the next transaction only, which is this statement; what may be undone is nobody's outcome.
    const committed = 'set transaction isolation level read committed'
    await answerOf(connection, timeout, (done) => connection.query(committed, done))
  }
  const answer = await answerOf(connection, timeout, (done) => {
    // The driver copies an object of options twice, which costs as much as the rest of its work.
    if (session.isStrange) connection.execute({ ...resultOptions, sql, values: parameters as unknown[] }, done)
    else connection.execute(sql, parameters as (string | number | null)[], done)
  })
  if (rowsAsArray) answer[0] = toArrays(answer)
  if (commits && (!session.autocommit || hasOpenTransaction(answer[0]))) {
    await answerOf(connection, timeout, (done) => connection.query('COMMIT', done))
  }
  return answer
}

function hasOpenTransaction(result: Answer[0]): boolean {
  return 'serverStatus' in result && (result.serverStatus & IN_TRANSACTION) !== 0
}

async function inspect(connection: PoolConnection, timeout: number): Promise<Session> {
  const options: QueryOptions = {
    ...resultOptions,
    // MariaDB alone reads the comments with an M, and does not read the other one.
    sql: `select 0 /*M! + 1 */, @@autocommit, @@max_allowed_packet,
      /*!80000 @@transaction_isolation */ /*M! @@tx_isolation */,
      @@character_set_client, @@character_set_connection, @@character_set_results`,
    rowsAsArray: true,
  }
  const [rows] = await answerOf(connection, timeout, (done) => connection.query(options, done))
  const [isMariaDB, autocommit, maximumPacket, isolation, ...charsets] =
    (rows as unknown as [number, number, number, string, string, string, string | null][])[0] ?? []
  for (const charset of charsets) {
    if (charset !== 'utf8mb4') {
      throw new InvalidArgumentError(
        `expected a pool whose connections use utf8mb4, got ${charset}: create it with charset: 'utf8mb4'`,
      )
    }
  }
  const family: Family = isMariaDB === 1 ? 'mariadb' : 'mysql'
  const session = {
    family,
    autocommit: autocommit === 1,
    maximumPacket: Number(maximumPacket),
    readsUncommitted: isolation === 'READ-UNCOMMITTED',
    isStrange: isStrange(connection.config as unknown as Record<string, unknown>),
  }
  sessions.set(connection, session)
  return session
}

// Dates do not matter: no statement reads any as such.
function isStrange({ typeCast, rowsAsArray, nestTables, namedPlaceholders }: Record<string, unknown>): boolean {
  return typeCast !== true || Boolean(rowsAsArray) || Boolean(nestTables) || Boolean(namedPlaceholders)
}

/** The rows as Drizzle wants them: the values in the order of the columns. */
function toArrays([rows, columns]: Answer): RowDataPacket[] {
  const arrays = (rows as RowDataPacket[]).map((row) => Object.values(row)) as unknown as RowDataPacket[]
  if (arrays.length > 0 && arrays[0]?.length !== columns.length) {
    throw new TypeError('expected columns of different names: give them aliases')
  }
  return arrays
}

function answerOf(
  connection: PoolConnection,
  timeout: number,
  send: (done: (error: Error | null, result: unknown, columns: FieldPacket[]) => void) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // The answer may still come, and would be taken for that of the next statement.
      connection.destroy()
      reject(new NotAnswered(`the server did not answer within ${timeout} ms`))
    }, timeout)
    send((error, result, columns) => {
      clearTimeout(timer)
      if (error === null) return resolve([result, columns] as Answer)
      if (uselessConnection.has((error as { errno?: number }).errno ?? 0)) connection.destroy()
      reject(error)
    })
  })
}

// A packet over the server's limit breaks the connection, sometimes without saying why.
function assertFits(parameters: readonly unknown[], maximumPacket: number): void {
  let size = 0
  for (const parameter of parameters) {
    // A UTF-16 code unit takes up to three bytes; whatever stays below in that measure needs no counting.
    if (typeof parameter === 'string') size += parameter.length * 3
  }
  if (size < maximumPacket - PACKET_OVERHEAD) return
  size = 0
  for (const parameter of parameters) {
    if (typeof parameter === 'string') size += Buffer.byteLength(parameter)
  }
  if (size < maximumPacket - PACKET_OVERHEAD) return
  throw new SerializationError(
    `expected at most ${maximumPacket} bytes (the server's max_allowed_packet), got ${size}: store less, or raise the limit`,
  )
}

// The statement's head and its small parameters.
const PACKET_OVERHEAD = 1024
