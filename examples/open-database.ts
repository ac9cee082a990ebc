import { createConnection } from 'mysql2/promise'

/** Where an example keeps its tables. */
export interface ExampleDatabase {
  /** What to call it on the screen; tells no password. */
  readonly name: string
  readonly url: string
  /** Leaves a database that was given as it is, and removes one that was made for the example. */
  close(): Promise<void>
}

/**
 * The database of `DATABASE_URL`; without one, a new one on a server that is found or started.
 *
 * @param ownName - What to call a new one.
 * @param report - Told, line by line, what takes its time.
 */
export async function openDatabase(ownName: string, report: (line: string) => void): Promise<ExampleDatabase> {
  const given = process.env.DATABASE_URL
  if (given !== undefined && given !== '') {
    const { host, pathname } = new URL(given)
    if (pathname.length < 2) throw new Error('DATABASE_URL names no database: expected mysql://user@host:3306/database')
    return { name: `${await versionOf(given)} at ${host}${pathname}`, url: given, close: async () => {} }
  }
  const { findOneServer } = await import('../test/support/servers/index.js')
  const server = await findOneServer({ report })
  const run = async (statement: string) => {
    const connection = await createConnection(server.url)
    await connection.query(statement)
    await connection.end()
  }
  await run(`create database if not exists ${ownName}`)
  return {
    name: `${server.version} (${server.name})`,
    url: `${server.url}/${ownName}`,
    async close() {
      await run(`drop database ${ownName}`)
      await server.stop()
    },
  }
}

async function versionOf(url: string): Promise<string> {
  const connection = await createConnection(url)
  const [rows] = await connection.query('select version() as version')
  await connection.end()
  const { version } = (rows as { version: string }[])[0] as { version: string }
  return /mariadb/i.test(version) ? `MariaDB ${version.split('-')[0]}` : `MySQL ${version.split('-')[0]}`
}
