import { createConnection } from 'mysql2/promise'
import { findServers, type Server, type ServerName, startServer } from '../test/support/servers/index.js'
import { serverKinds } from '../test/support/servers/kinds.js'
import type { Options } from './options.js'
import type { MeasuredServer } from './results.js'

/** The servers to measure on: those of the environment, or new ones. */
export async function openServers(
  { servers: names, durability }: Options,
  report: (line: string) => void,
): Promise<Server[]> {
  const unknown = names.find((name) => !serverKinds.some((kind) => kind.name === name))
  if (unknown !== undefined) {
    throw new Error(`--server: expected ${serverKinds.map(({ name }) => name).join(', ')}, got ${unknown}`)
  }
  if (names.length === 0) return findServers({ report, durability })
  const given = serverKinds.some(({ variable }) => process.env[variable])
  if (!given) return Promise.all(names.map((name) => startServer(name as ServerName, { report, durability })))
  const found = await findServers({ report, durability })
  const servers = found.filter(({ name }) => names.includes(name))
  const missing = names.find((name) => !servers.some((server) => server.name === name))
  if (missing !== undefined) throw new Error(`--server: the environment names no ${missing}`)
  return servers
}

const settings = [
  'innodb_flush_log_at_trx_commit',
  'sync_binlog',
  'log_bin',
  'innodb_doublewrite',
  'innodb_buffer_pool_size',
]

/** What the results tell of a server. */
export async function describeServer({ name, version, url }: Server): Promise<MeasuredServer> {
  return withConnection(url, async (connection) => {
    const [rows] = await connection.query(`select ${settings.map((setting) => `@@${setting} as ${setting}`).join()}`)
    const [values] = rows as Record<string, string | number>[]
    return { name, version, settings: values ?? {} }
  })
}

/** Lends an empty database, and drops it afterwards. */
export async function withDatabase<T>(server: Server, name: string, work: (url: string) => Promise<T>): Promise<T> {
  const database = `goscope_bench_${name.replaceAll(/[^a-z0-9]/g, '_')}`
  const run = (sql: string) => withConnection(server.url, (connection) => connection.query(sql))
  await run(`drop database if exists ${database}`)
  await run(`create database ${database}`)
  try {
    return await work(`${server.url}/${database}`)
  } finally {
    await run(`drop database ${database}`)
  }
}

async function withConnection<T>(
  url: string,
  work: (connection: Awaited<ReturnType<typeof createConnection>>) => Promise<T>,
): Promise<T> {
  const connection = await createConnection(url)
  try {
    return await work(connection)
  } finally {
    await connection.end()
  }
}
