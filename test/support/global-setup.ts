import type { TestProject } from 'vitest/node'
import { findServers } from './servers/index.js'

/** What a test has to know of a server. */
export interface TestServer {
  readonly name: string
  readonly family: 'mysql' | 'mariadb'
  readonly version: string
  /** An administrator's URL, without a database. */
  readonly url: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: TestServer[]
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await findServers({ report: (line) => console.log(line) })
  project.provide(
    'servers',
    servers.map(({ name, family, version, url }) => ({ name, family, version, url })),
  )
  return async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
}
