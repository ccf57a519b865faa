// `oidc-provider` of npm as a peer: a provider of OpenID Connect that does what a test says.
//
// node server.mjs FOLDER: the folder has the package in its `node_modules`. Every line of the input is one JSON object,
// and every line of the output an event. The first object is the setup: `address`, `keys`, `clients`, `resources`, `ttl`;
// all but the address have defaults. Later ones change what they name, and sessions and tokens stay. One without members
// is answered when all events of before were said. Keys are private JWKs, or names of `KINDS`, each of which makes a new
// key. It ends with its input.

import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const here = createRequire(join(resolve(process.argv[2]), 'package.json'));
// It warns of what only a test does: interactions for developers, keys in memory.
console.warn = console.info = () => {};
const { default: Provider } = await import(pathToFileURL(here.resolve('oidc-provider')));

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

const KINDS = {
  RSA: ['rsa', { modulusLength: 2048 }],
  'P-256': ['ec', { namedCurve: 'P-256' }],
  Ed25519: ['ed25519', {}],
};

function key(wanted) {
  if (typeof wanted !== 'string') return wanted;
  const jwk = generateKeyPairSync(...KINDS[wanted]).privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(jwk.n ?? jwk.x).digest('base64url').slice(0, 16);
  return { ...jwk, kid, use: 'sig' };
}

// Whoever is called `crowd 200` is in so many groups more.
const crowd = (id) => Array.from({ length: Number(id.split('crowd ')[1] ?? 0) }, (_, number) => `number ${number}`);

const claims = (id) => ({
  sub: id,
  email: `${id}@people.test`,
  email_verified: true,
  name: `${id} of the tests`,
  groups: ['staff', `friends of ${id}`, ...crowd(id)],
});

function configuration(state) {
  return {
    clients: state.clients,
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: state.keys.some(({ kty }) => kty === 'RSA') ? 'RS256' : 'ES256',
    },
    jwks: { keys: state.keys },
    cookies: { keys: ['nothing here is secret'] },
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
    // Claims are in the `id_token`, as most providers have it.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => claims(id) }),
    extraTokenClaims: (_, token) => ({ team: `team of ${token.clientId}`, realm: { roles: ['reader', 'writer'] } }),
    pkce: { required: () => true },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    // Whoever shows one a second time loses all that was granted.
    rotateRefreshToken: true,
    ttl: { AccessToken: 3600, ClientCredentials: 3600, ...state.ttl },
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          const { alg = 'RS256', scope = '' } = state.resources[resource] ?? {};
          return { scope, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
        },
      },
    },
    // Its own guard keeps it from asking the addresses of this machine, and here there are no others.
    fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
  };
}

function provider(state) {
  const made = new Provider(`http://${state.address}`, configuration(state));
  made.on('grant.success', ({ oidc: { params, client } }) => {
    say('grant', { type: params.grant_type, client: client.clientId, verifier: params.code_verifier });
  });
  made.on('grant.error', (_, error) => say('grant refused', { error: error.error_description ?? error.message }));
  made.on('server_error', (_, error) => say('error', { error: error.stack }));
  made.on('backchannel.success', (_, client, subject, sid) => say('told', { client: client.clientId, subject, sid }));
  made.on('backchannel.error', (_, error, client) => {
    say('not told', { client: client.clientId, error: error.message });
  });
  return made.callback();
}

let state = { keys: ['RSA'], clients: [], resources: {}, ttl: {} };
let answer;
let server;

for await (const line of createInterface({ input: process.stdin })) {
  const members = JSON.parse(line);
  if (Object.keys(members).length === 0) {
    say('that is all');
    continue;
  }
  state = { ...state, ...members };
  state.keys = state.keys.map(key);
  answer = provider(state);
  if (server) {
    say('changed', { keys: state.keys });
    continue;
  }
  server = createServer((request, response) => {
    const { method, url } = request;
    say(`${method} ${url.split('?')[0]}`, { url });
    answer(request, response);
  });
  server.listen(Number(state.address.split(':')[1]), '127.0.0.1', () => say('listening', { keys: state.keys }));
}
process.exit();
