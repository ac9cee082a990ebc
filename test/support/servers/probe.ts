import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from 'mysql2/promise'

/** Resolves with the server's version as soon as it answers. */
export async function waitForVersion(url: string, timeout: number, isAlive = () => true): Promise<string> {
  const deadline = performance.now() + timeout
  for (;;) {
    try {
      const connection = await createConnection({ uri: url, connectTimeout: 2_000 })
      try {
        const [rows] = await connection.query('select version() as version')
        return String((rows as { version: string }[])[0]?.version)
      } finally {
        await connection.end()
      }
    } catch (error) {
      if (performance.now() > deadline || !isAlive()) throw error
      await sleep(50)
    }
  }
}

/** What a version tells of the server that reports it. */
export function familyOf(version: string): 'mysql' | 'mariadb' {
  return /mariadb/i.test(version) ? 'mariadb' : 'mysql'
}
