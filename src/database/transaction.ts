import { is } from 'drizzle-orm'
import { MySqlDatabase, MySqlTransaction } from 'drizzle-orm/mysql-core'
import type { Connection, PoolConnection } from 'mysql2'
import type { Connection as PromiseConnection } from 'mysql2/promise'
import { InvalidArgumentError } from '../errors.js'
import { ConnectionClient } from './client.js'
import { failureOf } from './failures.js'
import { Executor } from './statement.js'

/** An open transaction of the caller: Drizzle's, or a mysql2 connection on which one was begun. */
// biome-ignore lint/suspicious/noExplicitAny: whatever schema the caller's database has.
export type Transaction = MySqlTransaction<any, any, any, any> | PromiseConnection | Connection

interface Known {
  readonly client: ConnectionClient
  readonly executor: Executor
}

const connections = new WeakMap<PoolConnection, Known>()

/**
 * Runs `work` on the connection of the caller's transaction. Neither begins, commits nor repeats anything.
 *
 * @param timeout - Milliseconds to wait for each answer.
 * @throws {@link InvalidArgumentError} when it is no transaction, or none is open.
 * @throws what the work's failure means.
 */
export async function runIn<T>(
  transaction: Transaction,
  timeout: number,
  operation: string,
  work: (executor: Executor) => Promise<T>,
): Promise<T> {
  try {
    return await work(await executorOf(transaction, timeout))
  } catch (thrown) {
    throw failureOf(thrown, operation).error
  }
}

/**
 * Whether the transaction is still open, by the server's word: it ends one that it chose as a deadlock's victim, whatever
 * became of the error, and the statements after that are on their own.
 *
 * @throws what the failure to ask means.
 */
export async function isOpen(transaction: Transaction, timeout: number, operation: string): Promise<boolean> {
  try {
    return await knownOf(connectionOf(transaction), timeout).client.isInTransaction()
  } catch (thrown) {
    throw failureOf(thrown, operation).error
  }
}

async function executorOf(transaction: Transaction, timeout: number): Promise<Executor> {
  const { client, executor } = knownOf(connectionOf(transaction), timeout)
  // Drizzle vouches for its transactions. On a bare connection a row's lock would end with the statement.
  const vouched = is(transaction, MySqlTransaction) || (await client.isInTransaction())
  if (!vouched)
    throw new InvalidArgumentError('transaction: expected an open transaction, got a connection without one')
  return executor
}

function knownOf(connection: PoolConnection, timeout: number): Known {
  let known = connections.get(connection)
  if (known === undefined) {
    const client = new ConnectionClient(connection, timeout)
    known = { client, executor: new Executor(client) }
    connections.set(connection, known)
  }
  return known
}

function connectionOf(transaction: unknown): PoolConnection {
  if (is(transaction, MySqlTransaction)) {
    return coreConnection((transaction as unknown as { session: { client: unknown } }).session.client)
  }
  if (is(transaction, MySqlDatabase)) {
    throw new InvalidArgumentError(
      'transaction: expected the transaction that database.transaction() hands over, got the database',
    )
  }
  return coreConnection(transaction)
}

function coreConnection(candidate: unknown): PoolConnection {
  if (typeof candidate === 'object' && candidate !== null) {
    // The promise connection wraps a callback connection.
    const connection = 'connection' in candidate ? candidate.connection : candidate
    if (typeof connection === 'object' && connection !== null && 'threadId' in connection && 'execute' in connection) {
      return connection as PoolConnection
    }
  }
  throw new InvalidArgumentError('transaction: expected a Drizzle transaction or a mysql2 connection')
}
