//! HTTP Message Signatures (RFC 9421): the fields `Signature-Input` and `Signature`.
//!
//! It reads which signatures there are (§4), checks what one says of itself and builds the bytes that it is over
//! (§2.5). It does not know keys beyond their algorithm. Entry points: [`read`], [`MessageForm::examine`].

use message::RequestHead;
use sfv::{BareItem, Dictionary, InnerList, ListEntry};

use crate::base::Base;
use crate::claim::Examined;
use crate::component::{Component, parse_dictionary, serialize_identifier, serialize_list};
use crate::coverage::Coverage;
use crate::sent::Sent;
use crate::{Key, MAX_COMPONENTS, MAX_SIGNATURES, Refusal, Rules};

/// One signature of a request, and what it says of itself.
pub(crate) struct MessageForm {
    /// The covered components, with the parameters of the signature.
    list: InnerList,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

/// Reads the signatures that the rules ask for, with the ids of their keys: none where there are none, or only
/// others.
pub(crate) fn read(head: &RequestHead, rules: &Rules) -> Result<Vec<(String, MessageForm)>, Refusal> {
    let lines = |name: &'static [u8]| {
        parse_dictionary(head.headers.values(name), Refusal::MalformedFields).map(Option::unwrap_or_default)
    };
    let mut signatures = None;
    let mut found = Vec::new();
    let mut trouble = None;
    let inputs = lines(b"signature-input")?.into_iter();
    for (label, input) in
        inputs.filter(|(label, _)| rules.label.as_deref().is_none_or(|own| own == label.as_str()))
    {
        let ListEntry::InnerList(list) = input else { return Err(Refusal::MalformedFields) };
        if rules.tag.is_some() && text(&list, "tag")? != rules.tag.as_deref() {
            continue;
        }
        if found.len() == MAX_SIGNATURES {
            break;
        }
        let signatures = match &mut signatures {
            Some(signatures) => signatures,
            none => none.insert(lines(b"signature")?),
        };
        match (text(&list, "keyid")?, take_bytes(signatures, label.as_str())?) {
            (_, None) => trouble = Some(Refusal::NoSignature),
            (None, _) => trouble = Some(Refusal::NoKeyId),
            (Some(key_id), Some(signature)) => {
                let key_id = key_id.to_owned();
                found.push((key_id, MessageForm { list, signature }));
            }
        }
    }
    match trouble {
        Some(refusal) if found.is_empty() => Err(refusal),
        _ => Ok(found),
    }
}

impl MessageForm {
    /// Checks what the signature says of itself, and builds the bytes that it is over.
    pub(crate) fn examine(
        &self,
        key: &Key,
        sent: &Sent<'_>,
        rules: &Rules,
        now: u64,
    ) -> Result<Examined<'_>, Refusal> {
        let algorithm = key.message_algorithm().ok_or(Refusal::AlgorithmMismatch)?;
        // §3.2: where the algorithm is said more than once, it must be the same.
        if text(&self.list, "alg")?.is_some_and(|name| name != algorithm.as_str()) {
            return Err(Refusal::AlgorithmMismatch);
        }
        if !rules.algorithms.has(algorithm) {
            return Err(Refusal::AlgorithmNotAllowed);
        }
        let (created, expires) = (time(&self.list, "created")?, time(&self.list, "expires")?);
        let until = rules.check_times(created, expires, now)?;
        let nonce = text(&self.list, "nonce")?.filter(|nonce| !nonce.is_empty());
        if rules.require_nonce && nonce.is_none() {
            return Err(Refusal::NoNonce);
        }
        let (components, coverage) = self.components()?;
        coverage.meets(&rules.required)?;
        let base = self.base(&components, sent)?;
        Ok(Examined { algorithm, base, created, expires, until, nonce, coverage })
    }

    /// What the signature covers, in order.
    fn components(&self) -> Result<(Vec<Component<'_>>, Coverage<'_>), Refusal> {
        if self.list.items.len() > MAX_COMPONENTS {
            return Err(Refusal::TooLarge);
        }
        let mut components = Vec::with_capacity(self.list.items.len());
        let mut coverage = Coverage::default();
        for item in &self.list.items {
            let component = Component::of(item)?;
            if components.contains(&component) {
                return Err(Refusal::RepeatedComponent);
            }
            component.count(&mut coverage);
            components.push(component);
        }
        Ok((components, coverage))
    }

    /// The signature base (§2.5).
    fn base(&self, components: &[Component<'_>], sent: &Sent<'_>) -> Result<Base, Refusal> {
        let mut base = Base::default();
        for (item, component) in self.list.items.iter().zip(components) {
            base.push_text(serialize_identifier(item).as_bytes())?;
            base.push(b": ")?;
            component.push_value(sent, &mut base)?;
            base.push(b"\n")?;
        }
        base.push(b"\"@signature-params\": ")?;
        base.push_text(serialize_list(&self.list).as_bytes())?;
        Ok(base)
    }
}

/// Takes the signature of a label out of `Signature`, which must have a byte sequence there (§4.2).
fn take_bytes(signatures: &mut Dictionary, label: &str) -> Result<Option<Vec<u8>>, Refusal> {
    match signatures.swap_remove(label) {
        None => Ok(None),
        Some(ListEntry::Item(item)) => match item.bare_item {
            BareItem::ByteSequence(bytes) => Ok(Some(bytes)),
            _ => Err(Refusal::MalformedFields),
        },
        Some(ListEntry::InnerList(_)) => Err(Refusal::MalformedFields),
    }
}

/// A parameter that is a string (§2.3).
fn text<'l>(list: &'l InnerList, name: &str) -> Result<Option<&'l str>, Refusal> {
    match list.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Refusal::MalformedFields),
    }
}

/// A parameter that is a time (§2.3), in seconds since 1970.
fn time(list: &InnerList, name: &str) -> Result<Option<u64>, Refusal> {
    match list.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => {
            u64::try_from(i64::from(*seconds)).map(Some).map_err(|_| Refusal::BadTime)
        }
        Some(_) => Err(Refusal::BadTime),
    }
}
