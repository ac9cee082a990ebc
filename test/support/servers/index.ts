import { createConnection } from 'mysql2/promise'

const variables: Record<string, string> = {
  'mysql-9': 'GOSCOPE_MYSQL_9_URL',
  'mariadb-10.5': 'GOSCOPE_MARIADB_105_URL',
  'mariadb-10.11': 'GOSCOPE_MARIADB_1011_URL',
  'mariadb-11.8': 'GOSCOPE_MARIADB_118_URL',
}

// A stand-in until the finder is there.
export async function findServers(_options?: { report?: (line: string) => void }) {
  const servers = []
  for (const [name, variable] of Object.entries(variables)) {
    const url = process.env[variable]
    if (url === undefined) continue
    const connection = await createConnection(url)
    const [rows] = await connection.query('select version() as version')
    await connection.end()
    const family = name.startsWith('mysql') ? ('mysql' as const) : ('mariadb' as const)
    servers.push({ name, family, version: String((rows as { version: string }[])[0]?.version), url, pid: undefined, stop: async () => {} })
  }
  return servers
}
