import { serverKinds } from './kinds.js'
import { familyOf, waitForVersion } from './probe.js'
import type { Server } from './server.js'

const variables = [
  ...serverKinds.map(({ name, variable }) => ({ name, variable })),
  { name: 'mysql', variable: 'GOSCOPE_MYSQL_URL' },
  { name: 'mariadb', variable: 'GOSCOPE_MARIADB_URL' },
]

/** The servers whose URLs the environment gives. They are neither stopped nor restarted. */
export async function serversFromEnvironment(): Promise<Server[]> {
  const given = variables.flatMap(({ name, variable }) => {
    const url = process.env[variable]
    return url === undefined || url === '' ? [] : [{ name, variable, url: url.replace(/\/$/, '') }]
  })
  return Promise.all(
    given.map(async ({ name, variable, url }) => {
      const version = await waitForVersion(url, 5_000).catch((cause: unknown) => {
        throw new Error(`${variable}: no server answers at ${new URL(url).host}`, { cause })
      })
      return {
        name,
        family: familyOf(version),
        version,
        url,
        stop: async () => {},
        restart: async () => {
          throw new Error(`${variable}: a server given by its URL cannot be restarted; let the tests start one`)
        },
      }
    }),
  )
}
